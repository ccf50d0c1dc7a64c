"""Times, text, errors and charts as commands read and print them."""

from datetime import datetime, timedelta, timezone

import pytest
import typer

from quintet.cli import chart, failures, options, output
from quintet.errors import (
    FieldError,
    InvalidInput,
    NotConfigured,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    ServerError,
    TimedOut,
    Unavailable,
)
from quintet.models import Chart, IssuedNumbers

NOW = datetime(2026, 11, 27, 10, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW),
        ("90s", NOW - timedelta(seconds=90)),
        ("2h", NOW - timedelta(hours=2)),
        ("7d", NOW - timedelta(days=7)),
        ("1795687200", datetime(2026, 11, 26, 10, tzinfo=timezone.utc)),
        ("2026-11-26T10:00:00Z", datetime(2026, 11, 26, 10, tzinfo=timezone.utc)),
        ("2026-11-26 11:00+01:00", datetime(2026, 11, 26, 10, tzinfo=timezone.utc)),
        ("2026-11-26", datetime(2026, 11, 26).astimezone()),
    ],
)
def test_time_of_a_person_is_parsed(text, expected):
    assert options.parse_moment(text, "--from", now=NOW) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "2h ago", "1795687200000", "2026-13-01"])
def test_other_text_is_no_time(text):
    with pytest.raises(typer.BadParameter, match="--from must be a time"):
        options.parse_moment(text, "--from")


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (NotFound("no"), 1),
        (ServerError("defect"), 1),
        (NotConfigured("no URL"), 2),
        (Unavailable("down"), 3),
        (OutcomeUnknown("unknown"), 3),
        (RateLimited("too many"), 3),
        (TimedOut("too long"), 3),
    ],
)
def test_errors_have_exit_codes(error, exit_code):
    assert failures.exit_code_of(error) == exit_code


def test_error_is_described_in_one_sentence_with_fields_and_request():
    fields = [FieldError("n", "must be at most 10"), FieldError("format", "format must have one field")]
    error = InvalidInput("the body is invalid", status=400, title="Bad Request", errors=fields, request_id="r1")
    assert failures.describe(error) == (
        "the body is invalid; n: must be at most 10; format must have one field (400 Bad Request, request r1)"
    )


def test_control_characters_of_data_do_not_reach_the_terminal():
    assert output.plain("a\tb\n\x1b[31mc") == "a b  [31mc"
    assert output.shown(1234567) == "1,234,567" and output.plain(1234567) == "1234567"
    assert output.shown(None) == "–" and output.plain(None) == ""


def test_json_has_the_names_of_the_service():
    document = output.to_document({"numbers": IssuedNumbers([1], ["A1"]), "at": NOW, "list": ("x", True)})
    assert document == {
        "numbers": {"sequence_list": [1], "formatted": ["A1"]},
        "at": "2026-11-27T10:00:00Z",
        "list": ["x", True],
    }


def test_sparkline_has_one_bar_per_value():
    assert chart.sparkline([0, 50, 100]) == "▁▄█"
    assert chart.sparkline([5, 5]) == "▄▄"
    assert chart.sparkline([]) == ""


@pytest.mark.parametrize(
    ("actual", "goal"),
    [([5], [5]), ([0] * 500, [0] * 500), ([-3, 2**31 - 1], [7, 7]), ([*range(1000)], [500] * 1000)],
    ids=["one point", "zeros", "extremes", "a line"],
)
def test_chart_fits_the_terminal(actual, goal, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    chart.draw_chart(Chart([*range(0, 3600 * len(actual), 3600)], actual, goal))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 13 and max(map(len, lines)) <= 80


def test_chart_shows_rise_and_goal(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    chart.draw_chart(Chart([*range(0, 36000, 100)], [*range(360)], [180] * 360))
    lines = capsys.readouterr().out.splitlines()
    # The production begins below and ends above; the goal is visible where the production does not cover it.
    assert lines[11][6] not in " ─" and lines[0].rstrip()[-1] not in " ─"
    assert sum("─" in line for line in lines) == 1
    assert lines[0].split()[0] == "359" and lines[11].split()[0] == "0"


def test_folded_json_keeps_keys_and_values_together():
    lines = output.folded('{"order": "INV-2026-00119", "parcels": 2, "carrier": "DHL", "weight_kg": 28.93}', 78)
    assert lines == ['  {"order": "INV-2026-00119", "parcels": 2, "carrier": "DHL",', '  "weight_kg": 28.93}']


def test_no_color_removes_styles(monkeypatch):
    assert output.styled("text", bold=True) != "text"
    monkeypatch.setenv("NO_COLOR", "1")
    assert output.styled("text", bold=True) == "text"
