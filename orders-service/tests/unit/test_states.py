import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders_service.domain.states import STATE_CODES, WHITE_SPACE, normalize_state


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("nj", "NJ"),
        (" NJ\u00a0", "NJ"),
        ("N.J.", "NJ"),
        ("n. j.", "NJ"),
        ("New  Jersey", "NJ"),
        ("ＮＪ", "NJ"),
        ("\u200bNJ\ufeff", "NJ"),
        ("pennsylvania", "PA"),
        ("Washington", "WA"),
        ("Washington, D.C.", "DC"),
        ("U.S. Virgin Islands", "VI"),
        ("puerto rico", "PR"),
    ],
)
def test_spellings_of_a_state_mean_its_code(text, code):
    assert normalize_state(text) == code


@pytest.mark.parametrize("text", ["", " ", ".", "XX", "AE", "AA", "AP", "ON", "New", "Jersey New", "N-J", "\u2028"])
def test_other_texts_mean_no_state(text):
    assert normalize_state(text) not in STATE_CODES


def test_there_are_fifty_states_the_district_and_five_territories():
    assert len(STATE_CODES) == 56


@given(st.text(max_size=20))
def test_normalizing_twice_changes_nothing(text):
    assert normalize_state(normalize_state(text)) == normalize_state(text)


@given(st.sampled_from(sorted(STATE_CODES)), st.text(WHITE_SPACE, max_size=5), st.text(WHITE_SPACE, max_size=5))
def test_white_space_around_a_code_is_ignored(code, before, after):
    assert normalize_state(before + code.lower() + after) == code


def test_every_white_space_character_of_python_is_trimmed():
    assert {chr(number) for number in range(0x110000) if chr(number).isspace()} <= set(WHITE_SPACE)
