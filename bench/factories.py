"""Reads of charts, from Redis and without, and production that is taken in."""

import json
import threading
import time

import requests
from load import Request

from quintet_local.testing import TestStack
from quintet_testing.waiting import eventually

FACTORIES = 100
POINTS = 20
BATCH, BATCHES, SENDERS = 1000, 200, 4
_CHART = {
    "sprocket_production_actual": [30 + n % 5 for n in range(POINTS)],
    "sprocket_production_goal": [32 - n % 4 for n in range(POINTS)],
    "time": [1611194818 + 60 * n for n in range(POINTS)],
}


def paths(stack: TestStack) -> list[str]:
    """Of factories with twenty points each, as the samples have them."""
    with _session(stack) as session:
        made = [
            session.post(f"{stack.url}/api/factories", json={"name": f"Bench {n}", "chart_data": _CHART}, timeout=30)
            for n in range(FACTORIES)
        ]
    return [answer.headers["Location"] for answer in made]


def cases(stack: TestStack, factories: list[str]) -> list[tuple[str, Request]]:
    with _session(stack) as session:
        tag = session.get(stack.url + factories[0], timeout=30).headers["ETag"]
    return [
        ("read a factory", Request(factories)),
        ("read a factory that has not changed (304)", Request(factories[:1], headers={"If-None-Match": tag})),
    ]


def taken_in(stack: TestStack) -> tuple[float, float]:
    """Points a second: until all were accepted, and until all were in their charts."""
    with _session(stack) as session:
        named = {"name": "Bench of production"}
        places = [
            session.post(f"{stack.url}/api/factories", json=named, timeout=30).headers["Location"]
            for _ in range(SENDERS)
        ]
        bodies = [_batch(number) for number in range(BATCHES // SENDERS)]
        began = time.monotonic()
        threads = [threading.Thread(target=_send, args=(stack, place, bodies)) for place in places]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        accepted = time.monotonic() - began
        last = f"time?from={BATCHES // SENDERS * BATCH - 1}"

        def is_in(place: str) -> bool:
            return bool(session.get(f"{stack.url}{place}/{last}", timeout=30).json()["time"])

        # Batches may overtake each other, so all have to be there.
        eventually(lambda: all(map(is_in, places)), 120)
        whole = "attainment?bucket=366d"
        for place in places:
            eventually(
                lambda place=place: _count(session, stack, f"{place}/{whole}") == BATCHES // SENDERS * BATCH, 120
            )
        done = time.monotonic() - began
    return BATCHES * BATCH / accepted, BATCHES * BATCH / done


def _count(session: requests.Session, stack: TestStack, path: str) -> int:
    """Each point's goal is 1."""
    buckets = session.get(stack.url + path, timeout=30).json()["buckets"]
    return sum(bucket["goal"] for bucket in buckets)


def _batch(number: int) -> str:
    return json.dumps([{"time": number * BATCH + n, "actual": n, "goal": 1} for n in range(BATCH)])


def _send(stack: TestStack, place: str, bodies: list[str]) -> None:
    with _session(stack) as session:
        for body in bodies:
            answer = session.post(f"{stack.url}{place}/production", body, timeout=30)
            answer.raise_for_status()


def _session(stack: TestStack) -> requests.Session:
    session = requests.Session()
    session.auth = (stack.user, stack.password)
    session.headers["Content-Type"] = "application/json"
    return session
