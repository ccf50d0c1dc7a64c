"""Benchmark cases of the factory-service: reads of charts and recording of production."""

import json
import threading
import time

import requests
from wrk import Request

from quintet_local.testing import TestStack
from quintet_testing.waiting import eventually

FACTORIES = 100
POINTS = 20
BATCH_SIZE, BATCHES, CLIENTS = 1000, 200, 4
_CHART = {
    "sprocket_production_actual": [30 + n % 5 for n in range(POINTS)],
    "sprocket_production_goal": [32 - n % 4 for n in range(POINTS)],
    "time": [1611194818 + 60 * n for n in range(POINTS)],
}


def create_factories(stack: TestStack) -> list[str]:
    """Create factories with twenty points each, as in the samples, and return their paths."""
    with _session(stack) as session:
        responses = [
            session.post(f"{stack.url}/api/factories", json={"name": f"Bench {n}", "chart_data": _CHART}, timeout=30)
            for n in range(FACTORIES)
        ]
    return [response.headers["Location"] for response in responses]


def cases(stack: TestStack, factory_paths: list[str]) -> list[tuple[str, Request]]:
    with _session(stack) as session:
        etag = session.get(stack.url + factory_paths[0], timeout=30).headers["ETag"]
    return [
        ("read a factory", Request(factory_paths)),
        ("read a factory that has not changed (304)", Request(factory_paths[:1], headers={"If-None-Match": etag})),
    ]


def record_production(stack: TestStack) -> tuple[float, float]:
    """Return points per second until all were accepted, and until all were in their charts."""
    with _session(stack) as session:
        factory = {"name": "Bench of production"}
        factory_paths = [
            session.post(f"{stack.url}/api/factories", json=factory, timeout=30).headers["Location"]
            for _ in range(CLIENTS)
        ]
        bodies = [_batch(number) for number in range(BATCHES // CLIENTS)]
        started_at = time.monotonic()
        threads = [threading.Thread(target=_send, args=(stack, path, bodies)) for path in factory_paths]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        accepted_seconds = time.monotonic() - started_at
        last_point = f"time?from={BATCHES // CLIENTS * BATCH_SIZE - 1}"

        def has_last_point(path: str) -> bool:
            return bool(session.get(f"{stack.url}{path}/{last_point}", timeout=30).json()["time"])

        # Batches may be processed out of order, so the points are counted as well.
        eventually(lambda: all(map(has_last_point, factory_paths)), 120)
        all_points = "attainment?bucket=366d"
        expected = BATCHES // CLIENTS * BATCH_SIZE

        def is_complete() -> bool:
            return all(_count_points(session, stack, f"{path}/{all_points}") == expected for path in factory_paths)

        eventually(is_complete, 120)
        charted_seconds = time.monotonic() - started_at
    return BATCHES * BATCH_SIZE / accepted_seconds, BATCHES * BATCH_SIZE / charted_seconds


def _count_points(session: requests.Session, stack: TestStack, path: str) -> int:
    """Return the number of points, which is the sum of their goals because each goal is 1."""
    buckets = session.get(stack.url + path, timeout=30).json()["buckets"]
    return sum(bucket["goal"] for bucket in buckets)


def _batch(number: int) -> str:
    return json.dumps([{"time": number * BATCH_SIZE + n, "actual": n, "goal": 1} for n in range(BATCH_SIZE)])


def _send(stack: TestStack, path: str, bodies: list[str]) -> None:
    with _session(stack) as session:
        for body in bodies:
            response = session.post(f"{stack.url}{path}/production", body, timeout=30)
            response.raise_for_status()


def _session(stack: TestStack) -> requests.Session:
    session = requests.Session()
    session.auth = (stack.user, stack.password)
    session.headers["Content-Type"] = "application/json"
    return session
