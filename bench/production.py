"""Production: batches of points that a worker stores in charts."""

import itertools
import json
import statistics
import threading
import time

import requests
from measuring import Application, Credentials, Round, Row
from processes import difference, read_usage
from reporting import Table

_BATCH_SIZE, _BATCHES, _CLIENTS = 1000, 200, 4
_ACCEPTED, _CHARTED = "points accepted", "points in their charts"


def measure_production(ours: Application, credentials: Credentials, rounds: int) -> Table:
    """Each round sends batches to new factories, and ends when the worker has stored all points."""
    results = [_measure_round(ours, credentials) for _ in range(rounds)]
    rows = [
        Row(case, ours.name, [result[index] for result in results]) for index, case in enumerate((_ACCEPTED, _CHARTED))
    ]
    notes = (
        f"Batches of {_BATCH_SIZE} points from {_CLIENTS} clients, until all batches are accepted, and until all of "
        "their points are in the charts. The latency is that of a batch."
    )
    return Table("production", "What does it cost to record production?", rows, "point", notes)


def _measure_round(ours: Application, credentials: Credentials) -> tuple[Round, Round]:
    with _session(credentials) as session:
        paths = [_create_factory(session, ours.address) for _ in range(_CLIENTS)]
    bodies = [_batch(number) for number in range(_BATCHES // _CLIENTS)]
    latencies: list[list[float]] = [[] for _ in paths]
    before, started_at = read_usage(ours.groups), time.monotonic()
    threads = [
        threading.Thread(target=_send, args=(f"{ours.address}{path}/production", credentials, bodies, times))
        for path, times in zip(paths, latencies, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    accepted_at, accepted = time.monotonic(), read_usage(ours.groups)
    assert ours.drain
    charted_at, charted = ours.drain()
    with _session(credentials) as session:
        for path in paths:
            _check_points(session, f"{ours.address}{path}")
    times_ms = sorted(1000 * seconds for seconds in itertools.chain(*latencies))
    if len(times_ms) < _BATCHES:
        raise RuntimeError("a batch of production was not accepted")
    quantiles = statistics.quantiles(times_ms, n=100)
    points = _BATCHES * _BATCH_SIZE

    def round_until(ended_at: float, usage: dict[str, float]) -> Round:
        microseconds = {group: used * 1e6 / points for group, used in difference(before, usage).items()}
        return Round(points, ended_at - started_at, quantiles[49], quantiles[98], microseconds)

    return round_until(accepted_at, accepted), round_until(charted_at, charted)


def _create_factory(session: requests.Session, address: str) -> str:
    response = session.post(f"{address}/api/factories", json={"name": "Bench of production"}, timeout=30)
    response.raise_for_status()
    return response.headers["Location"]


def _check_points(session: requests.Session, url: str) -> None:
    """The goal of each point is 1, so the sum of the goals is the number of points."""
    buckets = session.get(f"{url}/attainment?bucket=366d", timeout=30).json()["buckets"]
    if sum(bucket["goal"] for bucket in buckets) != _BATCHES // _CLIENTS * _BATCH_SIZE:
        raise RuntimeError("points are missing in a chart after the queues were drained")


def _batch(number: int) -> str:
    return json.dumps([{"time": number * _BATCH_SIZE + n, "actual": n, "goal": 1} for n in range(_BATCH_SIZE)])


def _send(url: str, credentials: Credentials, bodies: list[str], latencies: list[float]) -> None:
    with _session(credentials) as session:
        for body in bodies:
            started_at = time.monotonic()
            if not session.post(url, body, timeout=30).ok:
                return
            latencies.append(time.monotonic() - started_at)


def _session(credentials: Credentials) -> requests.Session:
    session = requests.Session()
    session.auth = (credentials.user, credentials.password)
    session.headers["Content-Type"] = "application/json"
    return session
