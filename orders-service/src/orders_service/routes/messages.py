"""Messages about imports and their rows, in the client's language."""

import functools
from collections.abc import Iterable, Iterator

from flask import stream_with_context

from chassis import strictjson
from orders_service.domain.headers import COLUMNS, MAX_COLUMNS, MAX_HEADER_BYTES, Header
from orders_service.domain.reports import header_line, parse_entries, quote_cell
from orders_service.domain.rules import REASON_MESSAGES, RULES_BY_NAME, Policy, Rule
from orders_service.routes.i18n import translate

FAILURE_MESSAGES = {
    "cancelled": "cancelled",
    "no_text": "the header must be %(header)s, but the first line is not UTF-8 text",
    "too_many_columns": "the header must be %(header)s, but has more than %(max_columns)s columns",
    "header_too_long": "the header must be %(header)s, but the first line is not shorter than %(max_bytes)s bytes",
    "doubled_columns": "the header must be %(header)s, but repeats the column %(names)s",
    "missing_columns": "the header must be %(header)s, but lacks the column %(names)s",
    "unknown_columns": "the header must be %(header)s, but has the unknown column %(names)s",
}
PLURAL_FAILURE_MESSAGES = {
    "doubled_columns": "the header must be %(header)s, but repeats the columns %(names)s",
    "missing_columns": "the header must be %(header)s, but lacks the columns %(names)s",
    "unknown_columns": "the header must be %(header)s, but has the unknown columns %(names)s",
}


def status_message(status: str, reason: str | None, names: str | None) -> str:
    """Return the message about an import that has ended; `names` is a JSON array of columns."""
    if status == "SUCCESS" or reason is None:
        return translate("import finished")
    columns = [name or '""' for name in strictjson.loads((names or "[]").encode())]
    messages = PLURAL_FAILURE_MESSAGES if len(columns) > 1 else FAILURE_MESSAGES
    return translate(
        messages[reason],
        header="|".join(COLUMNS),
        names=", ".join(columns),
        max_columns=MAX_COLUMNS,
        max_bytes=MAX_HEADER_BYTES,
    )


def errors_csv(header: Header, report: Iterable[bytes]) -> Iterator[str]:
    """Yield the lines of errors.csv for a stored report, which may be cut at any byte."""
    separator = header.separator

    @functools.cache
    def explanation(findings: str) -> str:
        names = [finding.partition(":")[0] for finding in findings.split(" ")]
        messages = [finding_message(finding) for finding in findings.split(" ")]
        return quote_cell("; ".join(names), separator) + separator + quote_cell("; ".join(messages), separator)

    def lines() -> Iterator[str]:
        yield header_line(header) + "\r\n"
        for entries in parse_entries(report):
            yield "".join(
                f"{entry.cells}{separator}{entry.line}{separator}{explanation(entry.findings)}\r\n" for entry in entries
            )

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
    return translate(rule.message, **({rule.parameter: value} if rule.parameter else {}))
