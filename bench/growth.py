"""Every other read and write with 1, 10 and 100 times the data, one request after another."""

import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cases
import requests
from imports import PATH as IMPORT
from imports import order_lines
from measuring import Application, Round, Row, ratios
from processes import difference, read_usage
from reporting import Table

from quintet_local.testing import TestStack
from quintet_testing.waiting import eventually

SIZES = (1, 10, 100)
# Per size: this many sequences, streams, consumers, records, factories and sprockets; and of orders.
_ITEMS, _ORDERS = 30, 2000
# For this many items one dataset, because each needs a pipeline, which is a process.
_ITEMS_PER_DATASET = 10
_REPEATS, _CLIENTS = 20, 4
# A tree of a hundred times the items has one level more, so twice the time is more than logarithmic.
_MAX_GROWTH = 2.0
_ORDERS_PATH = "/acme_orders/api/v1/orders"
_EVENTS = "/api/v1/streams/growth/events"
_SEQUENCE = {"minimum": 1, "maximum": 10**9, "audit": True}
_HEADERS = {"X-Producer-ID": "growth", "X-Consumer-ID": "growth"}

Send = Callable[[], requests.Response]


def measure_growth(stack: TestStack, ours: Application, folder: Path, sizes: tuple[int, ...]) -> Table:
    data = _Data(stack, folder)
    results: dict[str, list[Row]] = {}
    for size in sizes:
        data.grow(size)
        assert ours.drain
        ours.drain()
        for name, send in data.sends().items():
            results.setdefault(name, []).append(Row(name, f"{size}×", [_measure(ours, name, send)]))
    grown = {name: ratios(rows[0], rows[-1], lambda round_: round_.p50_ms)[0] for name, rows in results.items()}
    grows = ", ".join(f"{name} ({growth:.1f})" for name, growth in grown.items() if growth > _MAX_GROWTH)
    notes = (
        f"One client, {_REPEATS} requests each; 1× is {_ITEMS} sequences, streams, consumers, audited numbers, "
        f"factories and sprockets, {_ITEMS // _ITEMS_PER_DATASET} datasets and {_ORDERS:,} orders. More than twice the "
        f"latency with {sizes[-1]} times the data, which is more than logarithmic: {grows or 'none'}."
    )
    rows = list(itertools.chain(*results.values()))
    return Table("growth", "What becomes slower with 10 and 100 times the data?", rows, notes=notes, reference="1×")


def _measure(ours: Application, name: str, send: Send) -> Round:
    _check(name, send())
    seconds, before, started_at = [], read_usage(ours.groups), time.monotonic()
    for _ in range(_REPEATS):
        sent_at = time.monotonic()
        response = send()
        seconds.append(time.monotonic() - sent_at)
        _check(name, response)
    elapsed, usage = time.monotonic() - started_at, difference(before, read_usage(ours.groups))
    milliseconds = sorted(1000 * value for value in seconds)
    microseconds = {group: used * 1e6 / _REPEATS for group, used in usage.items()}
    return Round(_REPEATS, elapsed, statistics.median(milliseconds), milliseconds[-1], microseconds)


def _check(name: str, response: requests.Response) -> None:
    if not response.ok:
        raise RuntimeError(f"{name}: {response.status_code} {response.text[:200]}")


class _Data:
    """Data that the services store, and the requests that read and change it."""

    def __init__(self, stack: TestStack, folder: Path) -> None:
        self._url, self._file, self._owner = stack.url, folder / "growth.csv", stack.user
        self._session = cases.session_of(stack)
        self._session.headers.update(_HEADERS)
        self._session.headers["Auth-Token"] = self._send("POST", "/auth/token")().json()["token"]
        self._session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=_CLIENTS))
        self._items, self._orders = 0, 0
        self._new_numbers = itertools.count(1)

    def grow(self, size: int) -> None:
        """Create what is lacking, by requests of clients."""
        items = range(self._items, _ITEMS * size)
        self._items = _ITEMS * size
        if not items.start:
            self._do("PUT", "/sequences/growth", _SEQUENCE)
        with ThreadPoolExecutor(_CLIENTS) as pool:
            for _ in pool.map(self._create, items):
                pass
        self._import(range(self._orders, _ORDERS * size))
        self._orders = _ORDERS * size

    def _create(self, item: int) -> None:
        self._do("PUT", f"/sequences/growth-{item}", _SEQUENCE)
        self._do("POST", "/sequences/growth/next", {})
        self._do("POST", f"/api/v1/streams/growth-{item}/events", cases.EVENT)
        self._do("POST", _EVENTS, cases.EVENT)
        offset = {"eventName": "BenchEvent", "offset": 0}
        self._do("PUT", f"/api/v1/streams/growth/consumers/growth-{item}/offset", offset)
        self._do("POST", "/api/factories", {"name": f"Growth {item}", "chart_data": cases.CHART})
        self._do("POST", "/api/sprockets", cases.SPROCKET)
        if item % _ITEMS_PER_DATASET == 0:
            self._do("POST", "/source/upload", cases.spec(self._owner, f"growth-{item}"))

    def _import(self, numbers: range) -> None:
        self._file.write_text("".join(order_lines(len(numbers), 1, numbers.start)))
        with self._file.open("rb") as content:
            headers = {"Content-Type": "text/csv"}
            task = self._session.put(self._url + IMPORT, data=content, headers=headers, timeout=60).json()["result"]
        status = f"{IMPORT}/status/{task['task_id']}"
        eventually(lambda: self._do("GET", status).json()["result"]["status"] == "SUCCESS", 120)

    def sends(self) -> dict[str, Send]:
        reads = {
            "list sequences": "/sequences",
            "get a sequence": "/sequences/growth-7",
            "list records of a sequence": "/sequences/growth/issued",
            "list streams": "/api/v1/streams",
            "get a stream": "/api/v1/streams/growth-7",
            "list consumers of a stream": "/api/v1/streams/growth/consumers",
            "list parked events": "/api/v1/streams/growth/consumers/growth-7/parked",
            "read newest events of all streams": "/api/v1/events/newest",
            "list events of a request": "/api/v1/events?request_id=growth",
            "list orders": f"{_ORDERS_PATH}?limit=100",
            "list orders of a state": f"{_ORDERS_PATH}?limit=100&state=NY",
            "list orders of a ZIP code": f"{_ORDERS_PATH}?limit=100&zipcode=01234",
            "get an order": f"{_ORDERS_PATH}/77",
            "list imports": f"{IMPORT}/status",
            "list datasets": "/source",
            "list datasets of an owner": f"/source/{self._owner}",
            "list revisions of a dataset": f"/source/{self._owner}/growth-0",
            "list factories": "/api/factories?limit=10",
            "list sprockets": "/api/sprockets",
            "attainment of a factory": "/api/factory/7/attainment",
            "health": "/health",
            "invariants": "/invariants",
            "trace of a request": "/trace/growth-unknown",
        }
        numbers = self._new_numbers
        writes: dict[str, Iterator[tuple[str, str, object]]] = {
            "create a sequence": (("PUT", f"/sequences/new-{n}", _SEQUENCE) for n in numbers),
            "issue an audited number": (("POST", "/sequences/growth/next", {}) for _ in numbers),
            "append to a new stream": (("POST", f"/api/v1/streams/new-{n}/events", cases.EVENT) for n in numbers),
            "create a factory": (("POST", "/api/factories", {"name": f"New {n}"}) for n in numbers),
            "record a point": (
                ("POST", "/api/factory/7/production", [{"time": n, "actual": 1, "goal": 1}]) for n in numbers
            ),
            "create a sprocket": (("POST", "/api/sprockets", cases.SPROCKET) for _ in numbers),
            "upload a spec of a new dataset": (
                ("POST", "/source/upload", cases.spec(self._owner, f"new-{n}")) for n in numbers
            ),
        }
        sends = {name: self._send("GET", path) for name, path in reads.items()}
        return sends | {name: self._send_next(arguments) for name, arguments in writes.items()}

    def _send(self, method: str, path: str, body: object = None) -> Send:
        data = None if body is None else json.dumps(body)
        return lambda: self._session.request(method, self._url + path, data=data, timeout=60)

    def _send_next(self, arguments: Iterator[tuple[str, str, object]]) -> Send:
        return lambda: self._send(*next(arguments))()

    def _do(self, method: str, path: str, body: object = None) -> requests.Response:
        response = self._send(method, path, body)()
        _check(f"{method} {path}", response)
        return response
