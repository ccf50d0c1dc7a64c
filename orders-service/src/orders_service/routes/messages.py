"""Messages about imports and their rows, in the reader's language."""

import functools
from collections.abc import Iterable, Iterator

from flask import stream_with_context

from chassis import strictjson
from orders_service.domain.headers import COLUMNS, MAX_COLUMNS, MAX_HEADER_BYTES, Header
from orders_service.domain.reports import as_cell, entries, first_line
from orders_service.domain.rules import REJECTIONS, RULE, Policy, Rule
from orders_service.routes.i18n import translate

_REASONS = {
    "cancelled": "cancelled",
    "no_text": "the file is no text: no header can be read",
    "too_many_columns": "the header must not have more than %(max_columns)s columns",
    "header_too_long": "the first line must be a header that is shorter than %(max_bytes)s bytes",
    "doubled_columns": "the header has a column twice: %(names)s",
    "missing_columns": "the header lacks a column: %(names)s",
    "unknown_columns": "the header has an unknown column: %(names)s; known are %(known)s",
}


def status_message(status: str, reason: str | None, names: str | None) -> str:
    if status == "SUCCESS" or reason is None:
        return translate("import finished")
    named = ", ".join(strictjson.loads((names or "[]").encode()))
    parts = {"names": named, "known": ", ".join(COLUMNS), "max_columns": MAX_COLUMNS, "max_bytes": MAX_HEADER_BYTES}
    return translate(_REASONS[reason], **parts)


def errors_csv(header: Header, report: Iterable[bytes]) -> Iterator[str]:
    separator = header.separator

    @functools.cache
    def explained(findings: str) -> str:
        names = [finding.partition(":")[0] for finding in findings.split(" ")]
        messages = [finding_message(finding) for finding in findings.split(" ")]
        return as_cell("; ".join(names), separator) + separator + as_cell("; ".join(messages), separator)

    def lines() -> Iterator[str]:
        yield first_line(header) + "\r\n"
        for complete in entries(report):
            yield "".join(
                f"{entry.cells}{separator}{entry.line}{separator}{explained(entry.findings)}\r\n" for entry in complete
            )

    return stream_with_context(lines())


def rule_message(rule: Rule, state: str, policy: Policy) -> str:
    about = {"state": state.upper(), "age": str(policy.smallest_age), None: ""}[rule.about]
    return finding_message(f"{rule.name}:{about}")


def finding_message(finding: str) -> str:
    """Of a rule, with what it is about behind a colon, or of a rejection."""
    name, _, about = finding.partition(":")
    if name in RULE:
        return translate(RULE[name].message, about=about) if about else translate(RULE[name].message)
    return translate(REJECTIONS[name])
