"""The validation compared with a slow, simple implementation, for files of all kinds cut into chunks of all sizes."""

import re
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orders_service.domain.headers import COLUMNS, Header
from orders_service.domain.imports import FileCursor
from orders_service.domain.rules import Policy
from orders_service.domain.validation import validate_rows

TODAY = date(2026, 11, 22)
MAX_ROW_BYTES, MAX_TEXT_LENGTH = 200, 30
MONTHS = "january february march april may june july august september october november december".split()  # noqa: SIM905


@dataclass
class ReferenceValidation:
    """Validates a file byte by byte and row by row."""

    data: bytes
    separator: bytes
    policy: Policy

    def outcomes(self):
        seen_ids, previous, outcomes = set(), None, []
        for line, fields, reason in self.rows():
            if fields is not None and not any(map(strip, fields)):
                continue
            if fields is None or len(fields) < len(COLUMNS) or any(map(strip, fields[len(COLUMNS) :])):
                outcomes.append((line, reason or "fields"))
                previous = None
                continue
            texts = dict(zip(COLUMNS, fields, strict=False))
            outcomes.append((line, self.outcome(texts, seen_ids, previous)))
            previous = texts["state"], texts["zipcode"]
        return outcomes

    def outcome(self, fields, seen_ids, previous):
        """Return the reason for a rejection, or the bits of the violated rules."""
        if reason := unreadable_reason(fields.values()):
            return reason
        row = {name: value.decode() for name, value in fields.items()}
        if not re.fullmatch("-?[0-9]+", row["id"], re.ASCII) or not -(2**63) <= int(row["id"]) < 2**63:
            return "id"
        is_long = any(len(row[name]) > MAX_TEXT_LENGTH for name in ("name", "email", "state", "zipcode"))
        birth_date = parse_birthday(row["birthday"])
        if is_long or birth_date is None or not date(1900, 1, 1) <= birth_date <= TODAY:
            return "length" if is_long else "birthday"
        if int(row["id"]) in seen_ids:
            return "duplicate"
        seen_ids.add(int(row["id"]))
        if previous == (fields["state"], fields["zipcode"]) and all(map(strip, previous)):
            return 0
        return self.failed_bits(row, birth_date)

    def failed_bits(self, row, birth_date):
        digits = [char for char in row["zipcode"] if char in "0123456789"]
        state, email = CODES.get(row["state"]), row["email"]
        age = TODAY.year - birth_date.year - ((TODAY.month, TODAY.day) < (birth_date.month, birth_date.day))
        rules = {
            "allowed_state": (1, state is None or state in self.policy.excluded_states),
            "email_pattern": (2, not re.fullmatch(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}", email)),
            "zipcode_sum": (4, sum(map(int, digits)) > self.policy.max_zipcode_sum),
            "zipcode_length": (8, len(digits) not in (5, 9)),
            "email_state": (16, state == "NY" and email in NET_EMAILS),
            "allowed_age": (32, age < self.policy.min_age),
        }
        return sum(
            bit for name, (bit, is_violated) in rules.items() if is_violated and name not in self.policy.disabled_rules
        )

    def rows(self):
        """Yield (line, fields or None, reason) for each row."""
        position, line = 0, 0
        while position < len(self.data):
            end, fields = self.read_row(position)
            reason = None
            if fields is None:
                line_break = self.data.find(b"\n", position)
                line_end = line_break if line_break >= 0 else len(self.data)
                reason = "too_long" if line_end - position >= MAX_ROW_BYTES else "fields"
                end = line_end + 1
            raw = self.data[position:end]
            if reason or raw.strip(b"\r\n"):
                yield line, fields, reason
            line += raw.count(b"\n")
            position = end

    def read_row(self, start):
        """Return the end of the row and its fields, which are None if the row is too long or not closed."""
        fields, field, state, position = [], b"", "start", start
        while position < len(self.data) and position - start < MAX_ROW_BYTES:
            char = self.data[position : position + 1]
            position += 1
            if state == "quoted":
                if char != b'"':
                    field += char
                elif self.data[position : position + 1] == b'"' and position - start < MAX_ROW_BYTES:
                    field += b'"'
                    position += 1
                else:
                    state = "unquoted"
            elif char == b"\n":
                return position, [*fields, field.removesuffix(b"\r")]
            elif char == self.separator:
                fields.append(field)
                field, state = b"", "start"
            elif char == b'"' and state == "start":
                state = "quoted"
            else:
                field += char
                state = "unquoted"
        if state == "quoted" or position < len(self.data) or position - start >= MAX_ROW_BYTES:
            return position, None
        return position, [*fields, field.removesuffix(b"\r")]


def strip(cell):
    return cell.decode("utf-8", "surrogateescape").strip()


def unreadable_reason(fields):
    for cell in fields:
        try:
            cell.decode()
        except UnicodeDecodeError:
            return "encoding"
    return "nul" if any(b"\0" in cell for cell in fields) else None


def parse_birthday(text):
    if match := re.fullmatch(r"([A-Za-z]+) ([0-9]{1,2})(?:, ?| )([0-9]{4})", text, re.ASCII):
        names = [*MONTHS, *(month[:3] for month in MONTHS)]
        name = match[1].lower()
        parts = (int(match[3]), names.index(name) % 12 + 1, int(match[2])) if name in names else None
    elif match := re.fullmatch("([0-9]{4})-([0-9]{2})-([0-9]{2})", text, re.ASCII):
        parts = tuple(map(int, match.groups()))
    else:
        return None
    try:
        return date(*parts) if parts else None
    except ValueError:
        return None


def validate_in_chunks(data, separator, policy, cuts):
    """Return the outcomes of the real validation for the file cut at these positions.

    In production, Postgres detects duplicates across chunks; here a set of IDs does.
    """
    header, cursor, seen_ids, outcomes = Header(separator.decode(), COLUMNS), FileCursor(line=0), set(), []
    boundaries = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    with (
        patch("orders_service.domain.csv_rows.MAX_ROW_BYTES", MAX_ROW_BYTES),
        patch("orders_service.domain.csv_tables.MAX_ROW_BYTES", MAX_ROW_BYTES),
        patch("orders_service.domain.validation.MAX_TEXT_LENGTH", MAX_TEXT_LENGTH),
    ):
        for number, (start, end) in enumerate(pairwise(boundaries), 2):
            chunk = validate_rows(data[start:end], header, cursor, policy, TODAY, at_end=number == len(boundaries))
            cursor = chunk.cursor
            rows = [(row["position"], *outcome_of(row, seen_ids)) for row in chunk.rows.iter_rows(named=True)]
            rows += [(position, row.line, row.reason) for position, row in chunk.malformed]
            outcomes += [(line, outcome) for _, line, outcome in sorted(rows)]
    return outcomes


def outcome_of(row, seen_ids):
    reason = row["reason"]
    if reason is None and row["order_id"] in seen_ids:
        reason = "duplicate"
    if reason is None:
        seen_ids.add(row["order_id"])
    return row["#line"], row["failed"] if reason is None else reason


IDS = st.one_of(
    st.integers(-3, 12).map(str),
    st.sampled_from(["", " 1", "+1", "1.0", "1e3", "007", "-0", "x", "٣", "1_0", "0x1", "'-5"]),
    st.sampled_from([-(2**63) - 1, -(2**63), 2**63 - 1, 2**63, 10**30]).map(str),
)
CODES = {
    "NY": "NY",
    "ny": "NY",
    " NY": "NY",
    "New  York\u3000": "NY",
    "N.Y.": "NY",
    "ＮＹ": "NY",
    "TX": "TX",
    "NJ": "NJ",
    "nj": "NJ",
    "new jersey": "NJ",
    "Or": "OR",
    "OR": "OR",
    "\u200bor": "OR",
}
STATES = st.sampled_from([*CODES, "XYZ", "", " ", "Ñ", "ß", "İL", "AE"])
NET_EMAILS = ("a@b.net", "a@b.NET", "a@b.net ", "a@b．ｎｅｔ", "=1@b.net", "ä@b.net")
EMAILS = st.sampled_from([*NET_EMAILS, "a@b.de", "a@b", "@b.de", "a b@c.de", "a@b.de ", "ä@b.de", "", "a@net"])
ZIPCODES = st.sampled_from(
    ["10001", "99999", "1000", "", " ", "1.2.3", "10001-0001", "٣٣٣٣٣", "00501", "0" * 30, "9" * 25]
)
DATES = st.one_of(
    st.sampled_from(["Feb 27, 1963", "Feb 27,1963", "Feb 27 1963", "February 27, 1963", "1963-02-27", "feb 7, 1990"]),
    st.sampled_from(["Feb 30, 1990", "2/7/90", "Feb 29, 2000", "Feb 29, 1900", "Nov 22, 2005", "Nov 23, 2005", ""]),
    st.sampled_from(["Nov 22, 2026", "Nov 23, 2026", "Jan 1, 1900", "Dec 31, 1899", "Jan 1, 0001", "Dec 31, 9999"]),
    st.sampled_from(["MAY 01, 1950", "Sept 1, 1950", "Feb  7, 1990", "1963-2-27", "Feb 7, 19900", "Feb27, 1990"]),
    st.sampled_from(["Feb 0, 1990", "0000-00-00", "1990-02-30", " Feb 7, 1990", "Feb 7, 1990 ", "Febr 7, 1990"]),
)
NAMES = st.sampled_from(
    [
        "Ann",
        "",
        "é" * 30,
        "é" * 31,
        '"Ann"',
        'An"n',
        "Ä\u0301",
        "😀",
        "a,b",
        "=cmd|x",
        "'=x",
        "a\rb",
        "\ufeff",
        "N\\.\\N",
    ]
)


def lines_with(separator):
    plain = st.tuples(IDS, NAMES, EMAILS, STATES, ZIPCODES, DATES).map(separator.join).map(str.encode)
    # Consecutive rows with equal states and zip codes, of which only the first is invalid.
    repeated = st.integers(1, 30).map(
        lambda id: separator.join(f"{id}*Ann*a@b.de*NJ*99999*May 1, 1950".split("*")).encode()
    )
    fragments = st.lists(
        st.sampled_from([b'"', b'""', separator.encode(), b"\r", b"\0", b"\xff", b"a", b"1", b"\xc3\xa9", b"x" * 90]),
        max_size=12,
    ).map(b"".join)
    quoted = st.tuples(IDS, NAMES, EMAILS, STATES, ZIPCODES, DATES).map(
        lambda cells: separator.join(f'"{cell.replace(chr(34), chr(34) * 2)}"' for cell in cells).encode()
    )
    blank = st.sampled_from(["", " ", '""', separator * 5, f" {separator}\u00a0{separator * 4}"]).map(str.encode)
    trailing = plain.map(lambda line: line + f"{separator} {separator}".encode())
    return st.one_of(repeated, repeated, plain, quoted, fragments, blank, trailing, st.just(b'"a\nb"'))


@st.composite
def files(draw):
    separator = draw(st.sampled_from("|,;\t"))
    lines = draw(st.lists(lines_with(separator), max_size=14))
    line_endings = draw(st.sampled_from([[b"\n"], [b"\r\n"], [b"\n", b"\r\n", b"\n\n", b"\r"]]))
    data = b"".join(line + draw(st.sampled_from(line_endings)) for line in lines)
    return data[: len(data) - draw(st.integers(0, 2))], separator.encode()


@pytest.mark.fuzz
@settings(max_examples=300)
@given(file=files(), cuts=st.lists(st.integers(0, 2**20), max_size=6))
def test_outcomes_equal_the_reference_for_any_cuts(file, cuts):
    data, separator = file
    assert (
        validate_in_chunks(data, separator, Policy(), cuts) == ReferenceValidation(data, separator, Policy()).outcomes()
    )


@pytest.mark.fuzz
@settings(max_examples=30)
@given(file=files())
def test_outcomes_equal_the_reference_when_cut_after_every_byte(file):
    data, separator = file
    assert (
        validate_in_chunks(data, separator, Policy(), range(len(data)))
        == ReferenceValidation(data, separator, Policy()).outcomes()
    )


@settings(max_examples=60)
@given(
    file=files(),
    disabled_rules=st.sets(st.sampled_from(["allowed_state", "email_pattern", "zipcode_sum", "allowed_age"])),
)
def test_outcomes_follow_disabled_rules_and_other_limits(file, disabled_rules):
    data, separator = file
    policy = Policy(frozenset(disabled_rules), ("TX",), 5, 70)
    assert validate_in_chunks(data, separator, policy, [5]) == ReferenceValidation(data, separator, policy).outcomes()
