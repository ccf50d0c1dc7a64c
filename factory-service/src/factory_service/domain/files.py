"""Parses a file of factories or sprockets while it is read; memory does not grow with the file or with a chart."""

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from itertools import count, islice
from typing import Any, NamedTuple

import ijson

from chassis.errors import Invalid
from factory_service.domain.charts import LARGEST_VALUE, LATEST_TIME, SERIES, Points, check_lengths, points_of, whole
from factory_service.domain.sprockets import LARGEST, NUMBERS

POINTS_AT_ONCE = 10_000
_PIECE_BYTES = 16_384
# Not any backend: the others differ in what they make of numbers that are out of range.
_YAJL = ijson.get_backend("yajl2_c")
# No value of such a file is as long, nor the blank space before one.
_MAX_VALUE_BYTES = 65_536
_BOUNDS = dict.fromkeys(SERIES, (-LARGEST_VALUE, LARGEST_VALUE)) | {"time": (0, LATEST_TIME)}

Events = Iterator[tuple[str, Any]]


class Entry(NamedTuple):
    """`digest` is the same for equal content, however it is written; `sprocket` are its numbers, None: a factory."""

    digest: bytes
    sprocket: list[int] | None = None


def parse_entries(chunks: Iterable[bytes]) -> Iterator[Entry]:
    """All entries of the file in order. Raises Invalid at the first fault, naming its place."""
    parser = _Parser(chunks)
    try:
        yield from parser.entries()
    except ijson.JSONError:
        raise Invalid.field(parser.place, "is not valid JSON from here on") from None


def read_charts(open_file: Callable[[], Iterable[bytes]]) -> Iterator[Iterator[Points]]:
    """Of each factory its points, some at a time; of a file that `parse_entries` has accepted.

    A chart has its three arrays one after the other, so each of them is read by a pass through the file of its own.
    """
    passes = [_arrays(name, _events(open_file())) for name in ("time", *SERIES[:2])]
    for columns in zip(*passes, strict=True):
        yield _batches(zip(*columns, strict=True))


def _batches(rows: Iterator[tuple[int, ...]]) -> Iterator[Points]:
    while batch := list(islice(rows, POINTS_AT_ONCE)):
        time, actual, goal = (list(column) for column in zip(*batch, strict=True))
        yield points_of(time, actual, goal)


def _arrays(name: str, events: Events) -> Iterator[Iterator[int]]:
    for event in events:
        if event == ("map_key", name):
            next(events)
            yield _numbers(events)


def _numbers(events: Events) -> Iterator[int]:
    for event, value in events:
        if event == "end_array":
            return
        yield int(value)


def _events(chunks: Iterable[bytes], is_complete: Callable[[], bool] = lambda: True) -> Events:
    """As ijson names them. Raises JSONError after the last event before a fault.

    Until `is_complete`, a value that is too long is a fault: ijson would collect all of it.
    """
    events = ijson.sendable_list()
    parser = _YAJL.basic_parse_coro(events, use_float=True)
    silent_bytes = 0
    for piece in (chunk[at : at + _PIECE_BYTES] for chunk in chunks for at in range(0, len(chunk), _PIECE_BYTES)):
        error = None
        try:
            parser.send(piece)
        except ijson.JSONError as fault:
            error = fault
        silent_bytes = 0 if events or is_complete() else silent_bytes + len(piece)
        if silent_bytes > _MAX_VALUE_BYTES:
            error = error or ijson.JSONError("a value is too long")
        yield from events
        events.clear()
        if error:
            raise error
    parser.close()


class _Parser:
    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.place = "file"
        self._is_complete = False
        self._events = _events(chunks, lambda: self._is_complete)

    def entries(self) -> Iterator[Entry]:
        self._expect("start_map")
        kind = self._key("factories", "sprockets")
        self._expect("start_array")
        for number in count():
            self.place = f"{kind}.{number}"
            event, _ = self._next()
            if event == "end_array":
                break
            self._check(event == "start_map", "must be an object")
            yield self._factory() if kind == "factories" else self._sprocket()
        self.place = "file"
        self._expect("end_map")
        self._is_complete = True
        # Anything but blank space after it is a fault.
        for _ in self._events:
            pass

    def _next(self) -> tuple[str, Any]:
        for event in self._events:
            return event
        raise ijson.IncompleteJSONError("the file ends too early")

    def _expect(self, expected: str) -> None:
        event, _ = self._next()
        self._check(event == expected, f"expected {expected.replace('_', ' of ')}, found {event.replace('_', ' of ')}")

    def _key(self, *names: str) -> str:
        event, name = self._next()
        self._check(event == "map_key" and name in names, f"expected {' or '.join(names)}")
        return str(name)

    def _check(self, is_right: bool, message: str) -> None:
        if not is_right:
            raise Invalid.field(self.place, message)

    def _factory(self) -> Entry:
        for name in ("factory", "chart_data"):
            self._key(name)
            self._expect("start_map")
        self.place += ".factory.chart_data"
        arrays: dict[str, _Array] = {}
        for event, name in self._events:
            if event == "end_map":
                break
            self._check(name in SERIES and name not in arrays, f"must have {', '.join(SERIES)}, each once")
            self._expect("start_array")
            arrays[name] = _Array(f"{self.place}.{name}", *_BOUNDS[name])
            self._fill(arrays[name])
        check_lengths({name: arrays[name].length if name in arrays else 0 for name in SERIES}, self.place)
        self._expect("end_map")
        self._expect("end_map")
        return Entry(sha256(".".join(arrays[name].digest for name in SERIES).encode()).digest())

    def _fill(self, array: "_Array") -> None:
        try:
            for event, value in self._events:
                if event == "end_array":
                    break
                array.append(value)
        except ijson.JSONError:
            array.flush()
            self.place = f"{array.place}.{array.length}"
            raise
        array.flush()

    def _sprocket(self) -> Entry:
        numbers: dict[str, int] = {}
        for event, name in self._events:
            if event == "end_map":
                break
            self._check(name in NUMBERS and name not in numbers, f"must have {', '.join(NUMBERS)}, each once")
            numbers[name] = number = whole(self._next()[1])
            if type(number) is not int or not 1 <= number <= LARGEST:
                raise Invalid.field(f"{self.place}.{name}", f"must be a whole number between 1 and {LARGEST}")
        self._check(len(numbers) == len(NUMBERS), f"must have {', '.join(NUMBERS)}, each once")
        sprocket = [numbers[name] for name in NUMBERS]
        return Entry(sha256(f"sprocket {sprocket}".encode()).digest(), sprocket)


class _Array:
    """The length and digest of an array whose values are checked and forgotten again."""

    def __init__(self, place: str, low: int, high: int) -> None:
        self.place, self._low, self._high = place, low, high
        self.length, self.digest = 0, ""
        self._pending: list[Any] = []

    def append(self, value: Any) -> None:
        self._pending.append(value)
        if len(self._pending) == POINTS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Raises Invalid at the first value that is not allowed."""
        if self._pending:
            values = self._checked(self._pending)
            self._pending = []
            self.length += len(values)
            self.digest = sha256((self.digest + ",".join(map(str, values))).encode()).hexdigest()

    def _checked(self, values: list[Any]) -> list[int]:
        if set(map(type, values)) == {int} and self._low <= min(values) and max(values) <= self._high:
            return values
        values = [whole(value) for value in values]
        for index, value in enumerate(values, self.length):
            if type(value) is not int or not self._low <= value <= self._high:
                message = f"must be a whole number between {self._low} and {self._high}"
                raise Invalid.field(f"{self.place}.{index}", message)
        return values
