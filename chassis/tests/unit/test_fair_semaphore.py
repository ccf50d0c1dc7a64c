"""Places are taken in the order of asking, and none is lost."""

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from chassis.runtime.fair_semaphore import FairSemaphore


def test_no_more_at_once_than_places() -> None:
    semaphore = FairSemaphore(3)
    inside: list[int] = []
    most: list[int] = []

    def work(number: int) -> None:
        with semaphore:
            inside.append(number)
            most.append(len(inside))
            inside.remove(number)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(work, range(2000)))
    assert max(most) <= 3
    assert len(most) == 2000
    assert all(semaphore.acquire(timeout=0) for _ in range(3))
    assert not semaphore.acquire(timeout=0)


def test_who_asked_first_is_first(eventually: Callable[..., Any]) -> None:
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


def test_who_comes_later_does_not_slip_in(eventually: Callable[..., Any]) -> None:
    semaphore, may_go = FairSemaphore(1), threading.Event()

    def work() -> None:
        with semaphore:
            may_go.wait(20)

    semaphore.acquire()
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work)
        eventually(lambda: len(semaphore._waiting) == 1)
        semaphore.release()
        assert not semaphore.acquire(timeout=0)
        may_go.set()
        assert semaphore.acquire(timeout=20)


def test_who_gave_up_waiting_is_passed_over() -> None:
    semaphore = FairSemaphore(1)
    semaphore.acquire()
    assert not semaphore.acquire(timeout=0.01)
    semaphore.release()
    assert semaphore.acquire(timeout=0)


def test_greenlets_that_are_ended_while_they_wait_take_no_place_with_them() -> None:
    """One before it is given a place, one at that very moment."""
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
early, late = gevent.spawn(work), gevent.spawn(work)
gevent.idle()
assert len(semaphore._waiting) == 2
early.kill()
late.kill(block=False)
semaphore.release()
late.join()
assert semaphore.acquire(timeout=0), "lost"
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
