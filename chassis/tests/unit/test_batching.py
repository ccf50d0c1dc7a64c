"""Concurrent callers share a call, and each gets what is his."""

import subprocess
import sys
import threading
import time
from collections.abc import Sequence

import pytest

from chassis.runtime.batching import Batcher


def in_threads(count: int, work: object) -> None:
    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(count)]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads), "somebody waits for ever"


def test_each_caller_gets_his_own_result_and_calls_are_shared() -> None:
    sizes: list[int] = []
    wrong: list[int] = []

    def run(items: list[int]) -> Sequence[int]:
        sizes.append(len(items))
        time.sleep(0.001)
        return [item * 2 for item in items]

    batcher: Batcher[int, int] = Batcher(run, most=10)

    def work(number: int) -> None:
        wrong.extend(item for item in range(number, 3200, 32) if batcher.submit(item) != item * 2)

    in_threads(32, work)
    assert wrong == []
    assert sum(sizes) == 3200
    assert 1 < max(sizes) <= 10


def test_an_error_of_one_is_raised_for_him_alone() -> None:
    batcher: Batcher[int, int] = Batcher(lambda items: [ValueError(item) if item % 2 else item for item in items])
    refused: list[int] = []

    def work(number: int) -> None:
        try:
            assert batcher.submit(number) == number
        except ValueError as error:
            assert error.args == (number,)
            refused.append(number)

    in_threads(20, work)
    assert sorted(refused) == list(range(1, 20, 2))


@pytest.mark.parametrize("failure", [RuntimeError("down"), SystemExit(), [1, 2, 3, 4, 5, 6, 7, 8, 9]])
def test_what_the_call_raises_is_raised_for_all_of_the_batch_and_the_next_goes_on(failure: object) -> None:
    """Also when it gives the wrong number of results."""
    failing = True

    def run(items: list[int]) -> list[int]:
        time.sleep(0.02)
        if failing and isinstance(failure, BaseException):
            raise failure
        return failure if failing else items  # type: ignore[return-value]

    batcher: Batcher[int, int] = Batcher(run, most=4)
    failed: list[int] = []

    def work(number: int) -> None:
        try:
            batcher.submit(number)
        except (RuntimeError, SystemExit, ValueError):
            failed.append(number)

    in_threads(8, work)
    assert len(failed) == 8
    failing = False
    assert batcher.submit(5) == 5


def test_the_leader_works_for_others_once_and_passes_on() -> None:
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

    in_threads(8, work)
    assert len(set(leaders)) > 1


def test_greenlets_share_calls_too() -> None:
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
