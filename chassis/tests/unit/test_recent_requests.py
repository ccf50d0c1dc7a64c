"""Counts of requests per minute: latency, errors, age, and several processes."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from chassis.web import recent_requests
from chassis.web.recent_requests import MINUTES, RecentRequests

BOUNDS = (0.01, 0.1)
START = 1_700_000_040  # the beginning of a minute


@pytest.fixture
def set_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    def set_time(seconds: float) -> None:
        monkeypatch.setattr(recent_requests.time, "time", lambda: seconds)

    set_time(START)
    return set_time


@pytest.fixture(params=[True, False], ids=["with a directory", "single process"])
def recent(request: pytest.FixtureRequest, tmp_path: Path) -> RecentRequests:
    return RecentRequests(str(tmp_path) if request.param else None, BOUNDS)


def minutes_with_requests(recent: RecentRequests) -> dict[int, tuple[int, list[int]]]:
    minutes = recent.report()["minutes"]
    assert len(minutes) == MINUTES
    return {minute["time"]: (minute["errors"], minute["counts"]) for minute in minutes if any(minute["counts"])}


def test_counts_requests_per_minute_and_latency(recent: RecentRequests, set_time: Callable[[float], None]) -> None:
    for status, seconds in ((200, 0.01), (200, 0.011), (404, 0.02), (500, 9)):
        recent.observe(status, seconds)
    set_time(START + 60)
    recent.observe(503, 0)
    assert minutes_with_requests(recent) == {START: (1, [1, 2, 1])}
    set_time(START + 120)
    assert minutes_with_requests(recent) == {START: (1, [1, 2, 1]), START + 60: (1, [1, 0, 0])}


def test_forgets_minutes_that_are_too_old(recent: RecentRequests, set_time: Callable[[float], None]) -> None:
    recent.observe(200, 0)
    set_time(START + 60 * MINUTES)
    assert minutes_with_requests(recent) == {START: (0, [1, 0, 0])}
    set_time(START + 60 * (MINUTES + 1))
    # This minute has the row of the first one.
    recent.observe(200, 1)
    assert minutes_with_requests(recent) == {}
    set_time(START + 60 * (MINUTES + 2))
    assert minutes_with_requests(recent) == {START + 60 * (MINUTES + 1): (0, [0, 0, 1])}


def test_adds_the_counts_of_all_processes(tmp_path: Path, set_time: Callable[[float], None]) -> None:
    recent = RecentRequests(str(tmp_path), BOUNDS)
    recent.observe(500, 0)
    (file,) = tmp_path.iterdir()
    shutil.copy(file, tmp_path / f"1{file.suffix}")
    (tmp_path / f"2{file.suffix}").touch()  # another process is creating its file
    recent.observe(200, 1)
    set_time(START + 60)
    assert minutes_with_requests(recent) == {START: (2, [2, 0, 1])}


def test_ignores_a_file_that_is_deleted_while_it_reads(
    tmp_path: Path, set_time: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    recent = RecentRequests(str(tmp_path), BOUNDS)
    recent.observe(200, 0)
    (file,) = tmp_path.iterdir()
    deleted_file = tmp_path / f"0{file.suffix}"
    monkeypatch.setattr(Path, "glob", lambda *_: iter([deleted_file, file]))
    set_time(START + 60)
    assert minutes_with_requests(recent) == {START: (0, [1, 0, 0])}
