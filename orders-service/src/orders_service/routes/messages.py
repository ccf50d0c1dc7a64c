"""Messages about imports and their rows, in the client's language."""

import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from flask import stream_with_context

from chassis import strictjson
from orders_service.domain.encodings import byte_order_mark, encode_report
from orders_service.domain.formulas import escape
from orders_service.domain.headers import COLUMNS, MAX_COLUMNS, MAX_HEADER_BYTES, Header
from orders_service.domain.reports import header_line, parse_entries, quote_cell
from orders_service.domain.rules import NO_STATE_MESSAGE, REASON_MESSAGES, RULES_BY_NAME, Policy, Rule
from orders_service.routes.i18n import translate

_MAX_CACHED_EXPLANATIONS = 1000

FAILURE_MESSAGES = {
    "cancelled": "cancelled",
    "no_text": "the header must be %(header)s, but the first line is not text in UTF-8 or the requested encoding",
    "too_many_columns": "the header must be %(header)s, but has more than %(max_columns)s columns",
    "header_too_long": "the header must be %(header)s, but the first line is not shorter than %(max_bytes)s bytes",
    "doubled_columns": "the header must be %(header)s, but repeats the column %(names)s",
    "missing_columns": "the header must be %(header)s, but lacks the column %(names)s",
    "no_workbook": "the file must be a valid XLSX workbook; save it again as XLSX or CSV",
    "large_workbook": "the workbook is too large to be read from XLSX; save it as CSV",
    # Only imports of a previous version have this reason.
    "unknown_columns": "the header must be %(header)s, but has the unknown column %(names)s",
}
PLURAL_FAILURE_MESSAGES = {
    "doubled_columns": "the header must be %(header)s, but repeats the columns %(names)s",
    "missing_columns": "the header must be %(header)s, but lacks the columns %(names)s",
    "unknown_columns": "the header must be %(header)s, but has the unknown columns %(names)s",
}
# What the file seems to be, and what would help.
HINT_MESSAGES = {
    "columns": "its columns are %(columns)s; map other names with the parameter columns, as in %(example)s",
    "encoding": "the file seems to have the encoding %(encoding)s; upload it again with encoding=%(encoding)s",
    "unknown": "upload a CSV file; state its encoding with the parameter encoding, as in encoding=cp1252",
    "xlsx": "the file is an XLSX workbook; upload it with a name that ends in .xlsx",
    "xls": "the file is a workbook in the format XLS; save it as XLSX or CSV",
    "zip": "the file is a ZIP archive; upload the CSV file that it contains",
    "compressed": "the file is compressed; upload it uncompressed",
    "pdf": "the file is a PDF document; upload a CSV or XLSX file",
}


def status_message(row: Mapping[str, Any]) -> str:
    """Return the message about an import that has ended; `reason_names` is a JSON array of columns."""
    hint = _hint_message(row["hint"])
    if row["status"] == "SUCCESS" or row["reason"] is None:
        finished = translate("import finished")
        return f"{finished}; {hint}" if hint and row["rejected"] else finished
    columns = [name or '""' for name in strictjson.loads((row["reason_names"] or "[]").encode())]
    messages = PLURAL_FAILURE_MESSAGES if len(columns) > 1 else FAILURE_MESSAGES
    message = translate(
        messages[row["reason"]],
        header="|".join(COLUMNS),
        names=", ".join(columns),
        max_columns=MAX_COLUMNS,
        max_bytes=MAX_HEADER_BYTES,
    )
    return f"{message}; {hint}" if hint and row["reason"] != "cancelled" else message


def _hint_message(hint: str | None) -> str:
    if hint is None:
        return ""
    details = strictjson.loads(hint.encode())
    return translate(
        HINT_MESSAGES[details["kind"]],
        columns=", ".join(details.get("columns", [])),
        encoding=details.get("encoding", ""),
        example='columns={"zipcode":"PLZ"}',
    )


def errors_csv(header: Header, encoding: str, report: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines of errors.csv in this encoding for a stored report, which may be cut at any byte."""
    separator = header.separator

    @functools.lru_cache(_MAX_CACHED_EXPLANATIONS)
    def explanation(findings: str) -> str:
        names = [finding.partition(":")[0] for finding in findings.split(" ")]
        messages = [finding_message(finding) for finding in findings.split(" ")]
        return separator.join(quote_cell(escape("; ".join(texts)), separator) for texts in (names, messages))

    def lines() -> Iterator[bytes]:
        yield byte_order_mark(encoding) + encode_report(header_line(header) + "\r\n", encoding)
        for entries in parse_entries(report):
            text = "".join(
                f"{entry.cells}{separator}{entry.line}{separator}{explanation(entry.findings)}\r\n" for entry in entries
            )
            yield encode_report(text, encoding)

    return stream_with_context(lines())


def rule_message(rule: Rule, state: str, policy: Policy) -> str:
    parameter = {"state": state.upper(), "age": str(policy.min_age), None: ""}[rule.parameter]
    return finding_message(f"{rule.name}:{parameter}")


def finding_message(finding: str) -> str:
    """Return the message of a reason, or of a violated rule with its parameter, such as `allowed_state:NJ`."""
    name, _, value = finding.partition(":")
    if name not in RULES_BY_NAME:
        return translate(REASON_MESSAGES[name])
    rule = RULES_BY_NAME[name]
    if rule.parameter == "state" and not value:
        return translate(NO_STATE_MESSAGE)
    return translate(rule.message, **({rule.parameter: value} if rule.parameter else {}))
