"""Parses a load file while it is read: memory use depends neither on the size of the file nor on that of a chart."""

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from itertools import count, islice
from typing import Any, NamedTuple

import ijson

from chassis.errors import Invalid
from factory_service.domain.charts import (
    LATE_TIME,
    MAX_POINT_TIME,
    MAX_VALUE,
    SERIES,
    Points,
    as_integer,
    check_equal_lengths,
    points_from_columns,
)
from factory_service.domain.sprockets import MAX_NUMBER, NUMBERS

POINTS_PER_BATCH = 10_000
_CHUNK_BYTES = 16_384
# The backend is fixed because the backends of ijson differ in how they treat numbers that are out of range.
_YAJL = ijson.get_backend("yajl2_c")
# Longer than any valid value, including the whitespace before it.
_MAX_VALUE_BYTES = 65_536
_BOUNDS = dict.fromkeys(SERIES, (-MAX_VALUE, MAX_VALUE)) | {"time": (0, MAX_POINT_TIME)}

Events = Iterator[tuple[str, Any]]


class Entry(NamedTuple):
    """An entry of a load file.

    `digest` depends only on the content, not on its JSON formatting; `sprocket` has the four numbers in the order of
    NUMBERS, or is None if the entry is a factory.
    """

    digest: bytes
    sprocket: list[int] | None = None


def parse_entries(chunks: Iterable[bytes]) -> Iterator[Entry]:
    """Yield all entries of the file in order. Raise Invalid at the first error, with its position in the file."""
    parser = _LoadFileParser(chunks)
    try:
        yield from parser.entries()
    except ijson.JSONError:
        raise Invalid.field(parser.path, "must be valid JSON from this position on") from None


def read_charts(open_file: Callable[[], Iterable[bytes]]) -> Iterator[Iterator[Points]]:
    """Yield batches of points for each factory of a file that `parse_entries` has accepted.

    The three arrays of a chart follow one another in the file, so each of them is read in a separate pass.
    """
    passes = [_arrays(name, _events(open_file())) for name in ("time", *SERIES[:2])]
    for columns in zip(*passes, strict=True):
        yield _batches(zip(*columns, strict=True))


def _batches(rows: Iterator[tuple[int, ...]]) -> Iterator[Points]:
    while batch := list(islice(rows, POINTS_PER_BATCH)):
        time, actual, goal = (list(column) for column in zip(*batch, strict=True))
        yield points_from_columns(time, actual, goal)


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
    """Yield the parser events of ijson. Raise JSONError after the last event before an error.

    Until `is_complete` returns true, a value that is too long is an error, because ijson would buffer all of it.
    """
    events = ijson.sendable_list()
    parser = _YAJL.basic_parse_coro(events, use_float=True)
    bytes_without_event = 0
    for chunk in _split(chunks):
        error = None
        try:
            parser.send(chunk)
        except ijson.JSONError as json_error:
            error = json_error
        bytes_without_event = 0 if events or is_complete() else bytes_without_event + len(chunk)
        if bytes_without_event > _MAX_VALUE_BYTES:
            error = error or ijson.JSONError("a value is too long")
        yield from events
        events.clear()
        if error:
            raise error
    parser.close()


def _split(chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        for offset in range(0, len(chunk), _CHUNK_BYTES):
            yield chunk[offset : offset + _CHUNK_BYTES]


class _LoadFileParser:
    """Validates a load file; `path` is the position that an error refers to."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.path = "file"
        self._is_complete = False
        self._events = _events(chunks, lambda: self._is_complete)

    def entries(self) -> Iterator[Entry]:
        self._expect("start_map", "must be an object")
        kind = self._expect_key("factories", "sprockets")
        self._expect("start_array", f"{kind} must be an array")
        for index in count():
            self.path = f"{kind}.{index}"
            event, _ = self._next()
            if event == "end_array":
                break
            self._check(event == "start_map", "must be an object")
            yield self._parse_factory() if kind == "factories" else self._parse_sprocket()
        self.path = "file"
        self._expect("end_map", f"must not have fields other than {kind}")
        self._is_complete = True
        # Anything but whitespace after the end of the object raises an error.
        for _ in self._events:
            pass

    def _next(self) -> tuple[str, Any]:
        for event in self._events:
            return event
        raise ijson.IncompleteJSONError("the file ends before the JSON is complete")

    def _expect(self, expected_event: str, message: str) -> None:
        event, _ = self._next()
        self._check(event == expected_event, message)

    def _expect_key(self, *names: str) -> str:
        event, name = self._next()
        self._check(event == "map_key" and name in names, f"must have the field {' or '.join(names)}")
        return str(name)

    def _check(self, is_valid: bool, message: str) -> None:
        if not is_valid:
            raise Invalid.field(self.path, message)

    def _parse_factory(self) -> Entry:
        entry_path, factory_path = self.path, f"{self.path}.factory"
        for name in ("factory", "chart_data"):
            self._expect_key(name)
            self._expect("start_map", f"{name} must be an object")
            self.path += f".{name}"
        arrays: dict[str, _ArrayValidator] = {}
        for event, name in self._events:
            if event == "end_map":
                break
            self._check(name in SERIES and name not in arrays, f"must have exactly the fields {', '.join(SERIES)}")
            self._expect("start_array", f"{name} must be an array")
            arrays[name] = _ArrayValidator(f"{self.path}.{name}", *_BOUNDS[name])
            self._parse_array(arrays[name])
        check_equal_lengths({name: arrays[name].length if name in arrays else 0 for name in SERIES}, self.path)
        self.path = factory_path
        self._expect("end_map", "must not have fields other than chart_data")
        self.path = entry_path
        self._expect("end_map", "must not have fields other than factory")
        return Entry(sha256(".".join(arrays[name].digest for name in SERIES).encode()).digest())

    def _parse_array(self, array: "_ArrayValidator") -> None:
        try:
            for event, value in self._events:
                if event == "end_array":
                    break
                array.append(value)
        except ijson.JSONError:
            array.flush()
            self.path = f"{array.path}.{array.length}"
            raise
        array.flush()

    def _parse_sprocket(self) -> Entry:
        numbers: dict[str, int] = {}
        message = f"must have exactly the fields {', '.join(NUMBERS)}"
        for event, name in self._events:
            if event == "end_map":
                break
            self._check(name in NUMBERS and name not in numbers, message)
            numbers[name] = number = as_integer(self._next()[1])
            if type(number) is not int or not 1 <= number <= MAX_NUMBER:
                raise Invalid.field(f"{self.path}.{name}", f"must be an integer between 1 and {MAX_NUMBER}")
        self._check(len(numbers) == len(NUMBERS), message)
        sprocket = [numbers[name] for name in NUMBERS]
        return Entry(sha256(f"sprocket {sprocket}".encode()).digest(), sprocket)


class _ArrayValidator:
    """Validates the values of an array and keeps only its length and digest, not the values."""

    def __init__(self, path: str, minimum: int, maximum: int) -> None:
        self.path, self._minimum, self._maximum = path, minimum, maximum
        self.length, self.digest = 0, ""
        self._pending: list[Any] = []

    def append(self, value: Any) -> None:
        self._pending.append(value)
        if len(self._pending) == POINTS_PER_BATCH:
            self.flush()

    def flush(self) -> None:
        """Validate the pending values; raise Invalid at the first value that is out of range."""
        if self._pending:
            values = self._validate(self._pending)
            self._pending = []
            self.length += len(values)
            self.digest = sha256((self.digest + ",".join(map(str, values))).encode()).hexdigest()

    def _validate(self, values: list[Any]) -> list[int]:
        if set(map(type, values)) == {int} and self._minimum <= min(values) and max(values) <= self._maximum:
            return values
        values = [as_integer(value) for value in values]
        for index, value in enumerate(values, self.length):
            if type(value) is not int or not self._minimum <= value <= self._maximum:
                is_late = type(value) is int and value > self._maximum == MAX_POINT_TIME
                message = LATE_TIME if is_late else f"must be an integer between {self._minimum} and {self._maximum}"
                raise Invalid.field(f"{self.path}.{index}", message)
        return values
