"""The language check reports wrong phrases and accepts correct sentences."""

import importlib.util
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("language", Path(__file__).with_name("language.py"))
language = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(language)


@pytest.mark.parametrize(
    "text",
    [
        "this is no UTF-8",
        "the value is none",
        "there are five at the most",
        "the client is told 503",
        "the user and his role",
        "Whoever asks gets it.",
        'def f():\n    """What the caller sends."""',
        'def f():\n    """Who may read it"""',
    ],
)
def test_wrong_phrase_is_reported_with_its_line(text):
    (problem,) = language.problems_in("\n" + text)
    assert problem[0] == text.count("\n") + 2


@pytest.mark.parametrize(
    "text",
    [
        "there is no lock",
        "it is no longer needed",
        "at most five",
        "history of this",
        "untold",
        "if value is None: return",
        'def f():\n    """What happens at midnight? The counter restarts."""',
        'def f():\n    """Return what the caller sends."""',
    ],
)
def test_correct_sentence_is_not_reported(text):
    assert language.problems_in(text) == []
