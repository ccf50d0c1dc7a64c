"""The pool: bounded, last in first out, patient, rid of what is dead."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from chassis.db.pool import Pool
from chassis.errors import Unavailable


class Item:
    alive = True
    longest_idle = 1000.0
    closed = False


def a_pool(size: int = 2, wait_seconds: float = 0.05, make: Callable[[], Any] = Item) -> Pool:
    def close(item: Item) -> None:
        item.closed = True
        raise RuntimeError("saying goodbye failed")

    return Pool(
        make,
        size=size,
        wait_seconds=wait_seconds,
        is_alive=lambda item, idle_seconds: item.alive and idle_seconds < item.longest_idle,
        close=close,
    )


def test_the_last_that_came_back_goes_out_first() -> None:
    pool = a_pool()
    with pool.lease() as first, pool.lease() as second:
        pass
    assert first.item is not second.item
    with pool.lease() as again:
        assert again.item is first.item


def test_a_full_pool_waits_and_then_says_unavailable() -> None:
    pool = a_pool(size=1, wait_seconds=0.1)
    began = time.monotonic()
    with pool.lease(), pytest.raises(Unavailable), pool.lease():
        pass
    assert 0.1 <= time.monotonic() - began < 5
    with pool.lease():
        pass


def test_who_waits_gets_the_first_that_comes_free() -> None:
    pool = a_pool(size=1, wait_seconds=5)
    got = threading.Event()

    def take() -> None:
        with pool.lease():
            got.set()

    with pool.lease():
        waiter = threading.Thread(target=take)
        waiter.start()
        assert not got.wait(0.05)
    assert got.wait(5)
    waiter.join()


def test_a_failed_make_leaves_its_place_free() -> None:
    def fail() -> Any:
        raise Unavailable("nothing there")

    pool = a_pool(size=1, make=fail)
    for _ in range(3):
        with pytest.raises(Unavailable, match="nothing there"), pool.lease():
            pass


def test_a_broken_one_takes_its_idle_sisters_with_it() -> None:
    pool = a_pool(size=3)
    with pool.lease() as first, pool.lease() as second:
        pass
    with pool.lease() as lease:
        lease.broken = True
    assert first.item.closed
    assert second.item.closed


def test_a_dead_one_is_replaced() -> None:
    pool = a_pool()
    with pool.lease() as first:
        pass
    first.item.alive = False
    with pool.lease() as second:
        assert second.item is not first.item
    assert first.item.closed


def test_who_judges_whether_one_is_alive_is_told_how_long_it_was_idle() -> None:
    pool = a_pool()
    with pool.lease() as first:
        pass
    with pool.lease() as again:
        assert again.item is first.item
        again.item.longest_idle = 0.05
    time.sleep(0.05)
    with pool.lease() as second:
        assert second.item is not first.item


def test_an_old_one_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = a_pool()
    with pool.lease() as first:
        pass
    monkeypatch.setattr("chassis.db.pool._OLDEST_SECONDS", 0)
    with pool.lease() as second:
        assert second.item is not first.item


def test_never_more_are_out_than_its_size() -> None:
    pool = a_pool(size=3, wait_seconds=10)
    out, most, lock = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal out, most
        for _ in range(50):
            with pool.lease():
                with lock:
                    out += 1
                    most = max(most, out)
                time.sleep(0)
                with lock:
                    out -= 1

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most <= 3
