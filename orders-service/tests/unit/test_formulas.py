import csv
import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders_service.domain.formulas import escape, unescape
from orders_service.domain.reports import quote_cell

SEPARATORS = ("|", ",", ";", "\t")
# Characters with a meaning for spreadsheets are frequent.
texts = st.text(
    st.sampled_from("=+-@＝＋－＠''\"\",;|\t\n\r \u00a0\u2003\u3000\u200b\ufeff\u2028\u2029\x0b\x0c\x85ab15")
) | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))


@given(texts)
def test_unescaping_restores_the_text(text):
    assert unescape(escape(text)) == text


@given(texts)
def test_unescaping_twice_restores_a_text_that_was_escaped_twice(text):
    assert unescape(unescape(escape(escape(text)))) == text


@given(st.text(st.characters(codec="ascii", categories=["L", "N"])), st.sampled_from(["-", "=", "@", " "]))
def test_sign_within_a_text_is_not_escaped(text, sign):
    assert escape(f"a{text}{sign}{text}") == f"a{text}{sign}{text}"


@given(st.lists(texts, min_size=1, max_size=4), st.sampled_from(SEPARATORS))
def test_no_cell_is_a_formula_for_any_separator(row, separator):
    line = separator.join(quote_cell(escape(text), separator) for text in row)
    for other in SEPARATORS:
        # A spreadsheet may or may not interpret quotes.
        cells = [cell for cells in csv.reader(io.StringIO(line, newline=""), delimiter=other) for cell in cells]
        cells += re.split(f"[{re.escape(other)}\r\n]", line)
        for cell in cells:
            content = re.sub(r'^[\s"\u200b\ufeff]*', "", cell)
            assert not re.match("[=+@＝＋－＠]", content), (line, other)
            assert not content.startswith("-") or re.match(r"-[0-9]+(?![0-9])", content), (line, other)


@pytest.mark.slow
@pytest.mark.parametrize("ignored", ["\t", "'", " ", ",", '"', "\n"])
def test_escaping_takes_linear_time(ignored):
    text = ignored * 1_000_000
    assert escape(text) == text
    assert unescape(escape(text + "=")) == text + "="
