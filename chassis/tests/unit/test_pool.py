"""The pool: it is bounded, last in first out, waits for a free item, and discards dead ones."""

import threading
import time
from collections.abc import Callable

import pytest

from chassis.db.pool import Pool
from chassis.errors import Unavailable
from chassis.runtime.metrics import Metrics


class Item:
    is_alive = True
    max_idle_seconds = 1000.0
    is_closed = False


def create_pool(
    size: int = 2, wait_seconds: float = 0.05, create: Callable[[], Item] = Item, metrics: Metrics | None = None
) -> Pool[Item]:
    def close(item: Item) -> None:
        item.is_closed = True
        raise RuntimeError("closing failed")

    return Pool(
        create,
        size=size,
        wait_seconds=wait_seconds,
        is_alive=lambda item, idle_seconds: item.is_alive and idle_seconds < item.max_idle_seconds,
        close=close,
        metrics=(metrics or Metrics("probe")).pool("items", size),
    )


def test_most_recently_returned_item_is_used_first() -> None:
    pool = create_pool()
    with pool.lease() as first, pool.lease() as second:
        pass
    assert first.item is not second.item
    with pool.lease() as again:
        assert again.item is first.item


def test_exhausted_pool_returns_unavailable_after_timeout() -> None:
    pool = create_pool(size=1, wait_seconds=0.1)
    started_at = time.monotonic()
    with pool.lease(), pytest.raises(Unavailable), pool.lease():
        pass
    assert time.monotonic() - started_at >= 0.1
    with pool.lease():
        pass


def test_waiter_receives_the_first_free_item() -> None:
    pool = create_pool(size=1, wait_seconds=60)
    is_leased = threading.Event()

    def lease() -> None:
        with pool.lease():
            is_leased.set()

    with pool.lease():
        waiter = threading.Thread(target=lease)
        waiter.start()
        assert not is_leased.wait(0.05)
    assert is_leased.wait(60)
    waiter.join()


def test_failed_creation_leaves_its_slot_free() -> None:
    def fail() -> Item:
        raise Unavailable("creation failed")

    pool = create_pool(size=1, create=fail)
    for _ in range(3):
        with pytest.raises(Unavailable, match="creation failed"), pool.lease():
            pass


def test_broken_item_is_discarded_with_all_idle_items() -> None:
    pool = create_pool(size=3)
    with pool.lease() as first, pool.lease() as second:
        pass
    with pool.lease() as lease:
        lease.is_broken = True
    assert first.item.is_closed
    assert second.item.is_closed


def test_dead_item_is_replaced() -> None:
    pool = create_pool()
    with pool.lease() as first:
        pass
    first.item.is_alive = False
    with pool.lease() as second:
        assert second.item is not first.item
    assert first.item.is_closed


def test_is_alive_receives_the_idle_time() -> None:
    pool = create_pool()
    with pool.lease() as first:
        pass
    with pool.lease() as again:
        assert again.item is first.item
        again.item.max_idle_seconds = 0.05
    time.sleep(0.05)
    with pool.lease() as second:
        assert second.item is not first.item


def test_old_item_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = create_pool()
    with pool.lease() as first:
        pass
    monkeypatch.setattr("chassis.db.pool._MAX_AGE_SECONDS", 0)
    with pool.lease() as second:
        assert second.item is not first.item


def test_never_leases_more_items_than_its_size() -> None:
    pool = create_pool(size=3, wait_seconds=60)
    leased, max_leased, lock = 0, 0, threading.Lock()

    def work() -> None:
        nonlocal leased, max_leased
        for _ in range(50):
            with pool.lease():
                with lock:
                    leased += 1
                    max_leased = max(max_leased, leased)
                time.sleep(0)
                with lock:
                    leased -= 1

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max_leased <= 3


def test_metrics_show_items_in_use_waiters_and_their_wait(eventually: Callable[..., object]) -> None:
    metrics = Metrics("probe")

    def value(name: str) -> float | None:
        return metrics.registry.get_sample_value(f"quintet_pool_{name}", {"pool": "items"})

    def lease() -> None:
        with pool.lease():
            pass

    pool = create_pool(size=1, wait_seconds=60, metrics=metrics)
    assert (value("connections"), value("connections_in_use"), value("waiting")) == (1, 0, 0)
    thread = threading.Thread(target=lease)
    with pool.lease():
        thread.start()
        eventually(lambda: value("waiting") == 1)
        assert (value("connections_in_use"), value("wait_seconds_count")) == (1, 1)
    thread.join(60)
    assert (value("connections_in_use"), value("waiting"), value("wait_seconds_count")) == (0, 0, 2)
    assert value("wait_seconds_sum")


def test_exhausted_pool_is_counted_as_a_wait() -> None:
    metrics = Metrics("probe")
    pool = create_pool(size=1, wait_seconds=0.05, metrics=metrics)
    with pool.lease(), pytest.raises(Unavailable), pool.lease():
        pass
    labels = {"pool": "items"}
    assert metrics.registry.get_sample_value("quintet_pool_waiting", labels) == 0
    assert metrics.registry.get_sample_value("quintet_pool_wait_seconds_bucket", labels | {"le": "0.025"}) == 1
    assert metrics.registry.get_sample_value("quintet_pool_wait_seconds_count", labels) == 2
