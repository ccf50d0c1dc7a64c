import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders_service.domain.formulas import escape, unescape
from orders_service.domain.reports import as_cell

SEPARATORS = ("|", ",", ";", "\t")
# What matters to a spreadsheet is frequent.
texts = st.text(
    st.sampled_from("=+-@＝＋－＠''\"\",;|\t\n\r \u00a0\u2003\u3000\u200b\ufeff\u2028\u2029\x0b\x0c\x85ab15")
) | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(texts)
def test_what_was_escaped_comes_back_exactly(text):
    assert unescape(escape(text)) == text


@given(texts)
def test_escaping_twice_and_unescaping_twice_is_the_same_too(text):
    assert unescape(unescape(escape(escape(text)))) == text


@given(st.text(st.characters(codec="ascii", categories=["L", "N"])), st.sampled_from(["-", "=", "@", " "]))
def test_a_sign_inside_of_a_text_stays(text, sign):
    assert escape(f"a{text}{sign}{text}") == f"a{text}{sign}{text}"


@given(st.lists(texts, min_size=1, max_size=4), st.sampled_from(SEPARATORS))
def test_no_spreadsheet_finds_a_formula_whatever_separator_it_takes(row, separator):
    line = separator.join(as_cell(escape(text), separator) for text in row)
    for other in SEPARATORS:
        # With and without quotes that count.
        cells = [cell for cells in csv.reader(io.StringIO(line, newline=""), delimiter=other) for cell in cells]
        cells += re.split(f"[{re.escape(other)}\r\n]", line)
        for cell in cells:
            begin = re.sub(r'^[\s"\u200b\ufeff]*', "", cell)
            assert not re.match("[=+@＝＋－＠]", begin), (line, other)
            assert not begin.startswith("-") or re.match(r"-[0-9]+(?![0-9])", begin), (line, other)


@pytest.mark.parametrize("begin", ["\t", "'", " ", ",", '"', "\n"])
def test_a_long_run_before_a_formula_takes_no_longer_than_it_is(begin):
    text = begin * 1_000_000
    assert escape(text) == text
    assert unescape(escape(text + "=")) == text + "="
