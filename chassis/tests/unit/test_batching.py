"""Concurrent callers share a call, and each receives its own result."""

import subprocess
import sys
import threading
import time
from collections.abc import Sequence

import pytest

from chassis.runtime.batching import Batcher


def run_in_threads(count: int, work: object) -> None:
    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(count)]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads), "a caller waits indefinitely"


def test_callers_share_calls_and_receive_their_own_results() -> None:
    sizes: list[int] = []
    mismatches: list[int] = []

    def run(items: list[int]) -> Sequence[int]:
        sizes.append(len(items))
        time.sleep(0.001)
        return [item * 2 for item in items]

    batcher: Batcher[int, int] = Batcher(run, max_size=10)

    def work(number: int) -> None:
        mismatches.extend(item for item in range(number, 3200, 32) if batcher.submit(item) != item * 2)

    run_in_threads(32, work)
    assert mismatches == []
    assert sum(sizes) == 3200
    assert 1 < max(sizes) <= 10


def test_exception_result_is_raised_only_for_its_caller() -> None:
    batcher: Batcher[int, int] = Batcher(lambda items: [ValueError(item) if item % 2 else item for item in items])
    failed: list[int] = []

    def work(number: int) -> None:
        try:
            assert batcher.submit(number) == number
        except ValueError as error:
            assert error.args == (number,)
            failed.append(number)

    run_in_threads(20, work)
    assert sorted(failed) == list(range(1, 20, 2))


@pytest.mark.parametrize(
    "failure", [RuntimeError("down"), SystemExit(), list(range(9))], ids=["error", "exit", "too many results"]
)
def test_failed_call_raises_for_its_whole_batch_and_the_next_succeeds(failure: object) -> None:
    """A call fails if it raises, or if it returns the wrong number of results."""
    is_failing = True

    def run(items: list[int]) -> list[int]:
        time.sleep(0.02)
        if is_failing and isinstance(failure, BaseException):
            raise failure
        return failure if is_failing else items  # type: ignore[return-value]

    batcher: Batcher[int, int] = Batcher(run, max_size=4)
    failed: list[int] = []

    def work(number: int) -> None:
        try:
            batcher.submit(number)
        except (RuntimeError, SystemExit, ValueError):
            failed.append(number)

    run_in_threads(8, work)
    assert len(failed) == 8
    is_failing = False
    assert batcher.submit(5) == 5


def test_leader_runs_one_batch_for_others_and_hands_over() -> None:
    leaders: list[int] = []

    def run(items: list[int]) -> list[int]:
        leaders.append(threading.get_ident())
        time.sleep(0.005)
        return items

    batcher: Batcher[int, int] = Batcher(run)

    def work(number: int) -> None:
        for _ in range(10):
            before = leaders.count(threading.get_ident())
            batcher.submit(number)
            assert leaders.count(threading.get_ident()) <= before + 1

    run_in_threads(8, work)
    assert len(set(leaders)) > 1


def test_greenlets_share_calls() -> None:
    program = """
from gevent import monkey; monkey.patch_all()
import gevent, time
from chassis.runtime.batching import Batcher
sizes = []
def run(items):
    sizes.append(len(items)); time.sleep(0.002); return [item * 2 for item in items]
batcher = Batcher(run)
jobs = [gevent.spawn(batcher.submit, number) for number in range(500)]
gevent.joinall(jobs, timeout=20)
assert [job.value for job in jobs] == [number * 2 for number in range(500)]
assert max(sizes) == 64, sizes
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
