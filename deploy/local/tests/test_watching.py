"""Waiting continues while programs make progress, reports what is pending, and fails without progress."""

import itertools
import re

import pytest

from quintet_local import progress
from quintet_local.progress import StackError
from quintet_local.watching import MAX_SECONDS_WITHOUT_PROGRESS, ProgramState, StackWatcher


@pytest.fixture(autouse=True)
def _clock(monkeypatch):
    """Advance the clock by one second at each reading, so that no test waits."""
    seconds = itertools.count()
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(seconds)))
    monkeypatch.setattr(progress.time, "sleep", lambda _: None)


def never():
    return False


def log_tail(name):
    return f"the last line of {name}"


def elapsed(error):
    return int(re.search(r"timed out after (\d+) s", str(error.value))[1])


def wait(watcher, condition=never):
    watcher.wait("all programs", condition, advice=lambda: "see the logs")


def test_fails_with_advice_without_progress():
    with pytest.raises(StackError, match="see the logs") as error:
        wait(StackWatcher(lambda: [ProgramState("web", "starting", 0)], log_tail))
    assert MAX_SECONDS_WITHOUT_PROGRESS <= elapsed(error) < 2 * MAX_SECONDS_WITHOUT_PROGRESS


def test_waits_longer_while_there_is_progress():
    """Ten programs become ready one after another; the last one is followed by a lack of progress."""
    polls = itertools.count()

    def get_states():
        ready = min(10, next(polls) // 40)
        return [ProgramState(f"web-{number}", "ready" if number < ready else "starting", 0) for number in range(10)]

    with pytest.raises(StackError) as error:
        wait(StackWatcher(get_states, log_tail))
    assert elapsed(error) > 3 * MAX_SECONDS_WITHOUT_PROGRESS


def test_alternating_state_is_not_progress():
    states = itertools.cycle(["starting", "running"])
    with pytest.raises(StackError) as error:
        wait(StackWatcher(lambda: [ProgramState("web", next(states), 0)], log_tail))
    assert elapsed(error) < 2 * MAX_SECONDS_WITHOUT_PROGRESS


def test_repeatedly_restarted_program_is_reported():
    starts = itertools.count()
    with pytest.raises(StackError, match="orders-web keeps failing; the last line of orders-web"):
        wait(StackWatcher(lambda: [ProgramState("orders-web", "running", next(starts))], log_tail))


def test_permanently_failed_program_is_reported_immediately():
    with pytest.raises(StackError, match="orders-web keeps failing; the last line of orders-web"):
        wait(StackWatcher(lambda: [ProgramState("orders-web", "FATAL", 0, has_failed=True)], log_tail))


def test_reports_the_services_that_are_pending(capsys):
    health = {"status": "DOWN", "services": {"orders-service": {"status": "DOWN"}, "event-service": {"status": "OK"}}}
    polls = itertools.count()
    wait(StackWatcher(list, log_tail, lambda: health), lambda: next(polls) > 20)
    output = capsys.readouterr().err
    assert "still waiting: all programs: orders-service: DOWN" in output
    assert "event-service" not in output
