"""The semaphore grants its slots in the order of arrival and loses none."""

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from chassis.runtime.fair_semaphore import FairSemaphore


def test_never_has_more_holders_than_slots() -> None:
    semaphore = FairSemaphore(3)
    holders: list[int] = []
    counts: list[int] = []

    def work(number: int) -> None:
        with semaphore:
            holders.append(number)
            counts.append(len(holders))
            holders.remove(number)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(2000)))
    assert max(counts) <= 3
    assert len(counts) == 2000
    assert all(semaphore.acquire(timeout=0) for _ in range(3))
    assert not semaphore.acquire(timeout=0)


def test_serves_waiters_in_order_of_arrival(eventually: Callable[..., Any]) -> None:
    semaphore = FairSemaphore(1)
    order: list[int] = []

    def work(number: int) -> None:
        with semaphore:
            order.append(number)

    semaphore.acquire()
    with ThreadPoolExecutor(8) as pool:
        for number in range(8):
            pool.submit(work, number)
            eventually(lambda count=number + 1: len(semaphore._waiting) == count)
        semaphore.release()
    assert order == list(range(8))


def test_newcomer_does_not_overtake_a_waiter(eventually: Callable[..., Any]) -> None:
    semaphore, proceed = FairSemaphore(1), threading.Event()

    def work() -> None:
        with semaphore:
            proceed.wait(20)

    semaphore.acquire()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work)
        eventually(lambda: len(semaphore._waiting) == 1)
        semaphore.release()
        assert not semaphore.acquire(timeout=0)
        proceed.set()
        assert semaphore.acquire(timeout=20)


def test_skips_a_waiter_that_timed_out() -> None:
    semaphore = FairSemaphore(1)
    semaphore.acquire()
    assert not semaphore.acquire(timeout=0.01)
    semaphore.release()
    assert semaphore.acquire(timeout=0)


def test_killed_waiting_greenlets_lose_no_slot() -> None:
    """Kill one greenlet before it is granted a slot, and one at the moment at which it is."""
    program = """
from gevent import monkey
monkey.patch_all()
import gevent
from chassis.runtime.fair_semaphore import FairSemaphore
semaphore = FairSemaphore(1)

def work():
    with semaphore:
        pass

semaphore.acquire()
first, second = gevent.spawn(work), gevent.spawn(work)
gevent.idle()
assert len(semaphore._waiting) == 2
first.kill()
second.kill(block=False)
semaphore.release()
second.join()
assert semaphore.acquire(timeout=0), "the slot was lost"
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
