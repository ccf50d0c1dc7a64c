"""Waiting goes on while something moves, says what it waits for, and ends where nothing does."""

import itertools
import re

import pytest

from quintet_local import progress
from quintet_local.progress import StackError
from quintet_local.watching import PATIENCE_SECONDS, Program, Watch


@pytest.fixture(autouse=True)
def _clock(monkeypatch):
    """Each look at it takes a second, so that no test waits."""
    seconds = itertools.count()
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(seconds)))
    monkeypatch.setattr(progress.time, "sleep", lambda _: None)


def never():
    return False


def end_of_log(name):
    return f"the last line of {name}"


def elapsed(error):
    return int(re.search(r"not after (\d+) s", str(error.value))[1])


def wait(watch, is_true=never):
    watch.wait("all of it", is_true, advice=lambda: "look at the logs")


def test_without_progress_it_ends_and_says_what_to_do():
    with pytest.raises(StackError, match="look at the logs") as error:
        wait(Watch(lambda: [Program("web", "starting", 0)], end_of_log))
    assert PATIENCE_SECONDS <= elapsed(error) < 2 * PATIENCE_SECONDS


def test_progress_makes_it_wait_longer():
    """Ten programs, of which one gets ready now and then, and after the last of them none."""
    looks = itertools.count()

    def look():
        ready = min(10, next(looks) // 40)
        return [Program(f"web-{number}", "ready" if number < ready else "starting", 0) for number in range(10)]

    with pytest.raises(StackError) as error:
        wait(Watch(look, end_of_log))
    assert elapsed(error) > 3 * PATIENCE_SECONDS


def test_what_goes_back_and_forth_is_no_progress():
    states = itertools.cycle(["starting", "running"])
    with pytest.raises(StackError) as error:
        wait(Watch(lambda: [Program("web", next(states), 0)], end_of_log))
    assert elapsed(error) < 2 * PATIENCE_SECONDS


def test_a_program_that_starts_again_and_again_is_named():
    starts = itertools.count()
    with pytest.raises(StackError, match="orders-web ends again and again; the last line of orders-web"):
        wait(Watch(lambda: [Program("orders-web", "running", next(starts))], end_of_log))


def test_a_program_that_was_given_up_is_named_at_once():
    with pytest.raises(StackError, match="orders-web ends again and again; the last line of orders-web"):
        wait(Watch(lambda: [Program("orders-web", "FATAL", 0, has_failed=True)], end_of_log))


def test_it_says_which_services_it_waits_for(capsys):
    health = {"status": "DOWN", "services": {"orders-service": {"status": "DOWN"}, "event-service": {"status": "OK"}}}
    looks = itertools.count()
    wait(Watch(list, end_of_log, lambda: health), lambda: next(looks) > 20)
    told = capsys.readouterr().err
    assert "still waiting: all of it: orders-service: DOWN" in told
    assert "event-service" not in told
