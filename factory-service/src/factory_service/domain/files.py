"""Reads a file of factories or sprockets as it comes, piece by piece; can be put aside and taken up in between.

The grammar is fixed, so a table of states is enough. Arrays of numbers, nearly all of a file, are parsed in slices.
"""

import re
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import Any, NamedTuple

import orjson

from chassis.errors import Invalid
from factory_service.domain.charts import LARGEST_VALUE, LATEST_TIME, SERIES, check_lengths, whole
from factory_service.domain.sprockets import LARGEST, NUMBERS

PART = 10_000
_LONGEST_OBJECT = 1000
_BLANK = re.compile(rb"[ \t\r\n]*")
_TOKEN = re.compile(rb'([{}\[\]:,])|"([^"\\]{0,64})"')
_BOUNDS = dict.fromkeys(SERIES, (-LARGEST_VALUE, LARGEST_VALUE)) | {"time": (0, LATEST_TIME)}

# state → token → next state; a token in quotes is a key.
_TABLE: dict[str, dict[str, str]] = {
    "start": {"{": "top"},
    "top": {'"factories"': "factories:", '"sprockets"': "sprockets:"},
    "factories:": {":": "factories["},
    "factories[": {"[": "first factory"},
    "first factory": {"{": "entry", "]": "closed"},
    "next factory": {"{": "entry"},
    "entry": {'"factory"': "factory:"},
    "factory:": {":": "factory{"},
    "factory{": {"{": "factory"},
    "factory": {'"chart_data"': "chart_data:"},
    "chart_data:": {":": "chart_data{"},
    "chart_data{": {"{": "series"},
    "series": {f'"{name}"': "series:" for name in SERIES},
    "series:": {":": "series["},
    "series[": {"[": "values"},
    "after series": {",": "series", "}": "after chart_data"},
    "after chart_data": {"}": "after factory"},
    "after factory": {"}": "after entry"},
    "after entry": {",": "next factory", "]": "closed"},
    "sprockets:": {":": "sprockets["},
    "sprockets[": {"[": "first sprocket"},
    "first sprocket": {"{": "sprocket", "]": "closed"},
    "next sprocket": {"{": "sprocket"},
    "after sprocket": {",": "next sprocket", "]": "closed"},
    "closed": {"}": "end"},
    "end": {},
}
_IN_CHART = {"series", "series:", "series[", "values", "after series", "after chart_data"}


class Part(NamedTuple):
    """So many values of one array, from one place on."""

    entry: int
    series: int
    number: int
    values: list[int]


class Entry(NamedTuple):
    """`sprocket` are its four numbers; None: a factory, whose values came as parts."""

    number: int
    digest: bytes
    parts: int
    sprocket: list[int] | None


@dataclass
class Reader:
    """All of it goes through JSON and back, so that somebody else can go on."""

    state: str = "start"
    rest: str = ""
    entry: int = 0
    series: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    pending: list[int] = field(default_factory=list)
    after_comma: bool = False

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def feed(self, content: bytes) -> list[Part | Entry]:
        """What became complete. Raises Invalid, naming the place, at the first fault."""
        data = self.rest.encode("latin-1") + content
        found: list[Part | Entry] = []
        at, ended = 0, -1
        while at < len(data) and at != ended:
            ended = at
            if self.state == "values":
                at = self._values(data, at, found)
            elif self.state == "sprocket":
                at = self._sprocket(data, at, found)
            else:
                at = self._token(data, at, found)
        self.rest = data[at:].decode("latin-1")
        return found

    def finish(self) -> None:
        """Raises Invalid where the file ends too early."""
        if self.state != "end" or self.rest:
            raise Invalid.field(self._place(), f"expected {self._expected()}, and the file ends")

    def _token(self, data: bytes, at: int, found: list[Part | Entry]) -> int:
        at = _BLANK.match(data, at).end()  # type: ignore[union-attr]
        match = _TOKEN.match(data, at)
        if match is None:
            is_begun = data[at : at + 1] == b'"' and len(data) - at < _LONGEST_OBJECT and b'"' not in data[at + 1 :]
            if at < len(data) and not is_begun:
                raise Invalid.field(self._place(), f"expected {self._expected()}")
            return at
        token = match[1].decode() if match[1] else f'"{match[2].decode("latin-1")}"'
        following = _TABLE[self.state].get(token)
        if following is None:
            raise Invalid.field(self._place(), f"expected {self._expected()}, found {token}")
        self._enter(following, token, found)
        return match.end()

    def _expected(self) -> str:
        return " or ".join(_TABLE.get(self.state, {})) or "nothing more"

    def _enter(self, following: str, token: str, found: list[Part | Entry]) -> None:
        if following == "series:":
            self.series = SERIES.index(token.strip('"'))
            if self._name in self.counts:
                raise Invalid.field(self._place(), f"{self._name} stands twice")
            self.counts[self._name] = 0
        elif following == "after chart_data":
            check_lengths({name: self.counts.get(name, 0) for name in SERIES}, self._place())
        elif following == "after entry":
            digest = sha256(".".join(self.digests.get(name, "") for name in SERIES).encode()).digest()
            found.append(Entry(self.entry, digest, -(-self.counts.get("time", 0) // PART), None))
            self._next_entry()
        self.state = following

    def _next_entry(self) -> None:
        self.entry += 1
        self.counts, self.digests = {}, {}

    def _values(self, data: bytes, at: int, found: list[Part | Entry]) -> int:
        end = data.find(b"]", at)
        is_last = end >= 0
        if not is_last:
            end = data.rfind(b",", at)
            if end < at:
                if len(data) - at > _LONGEST_OBJECT:
                    raise Invalid.field(self._place(self.counts[self._name]), "must be a whole number")
                return at
        self._take(data[at:end], is_last)
        while len(self.pending) >= PART or (is_last and self.pending):
            self._emit(found)
        self.after_comma = not is_last
        if is_last:
            self.state = "after series"
        return end + 1

    def _take(self, raw: bytes, is_last: bool) -> None:
        count = self.counts[self._name]
        if is_last and not self.after_comma and not raw.strip(b" \t\r\n"):
            return
        try:
            values = orjson.loads(b"[%b]" % raw)
        except ValueError:
            values = []
        low, high = _BOUNDS[self._name]
        if not values or set(map(type, values)) != {int} or min(values) < low or max(values) > high:
            values = [whole(value) for value in values]
            wrong = next((n for n, v in enumerate(values) if type(v) is not int or not low <= v <= high), None)
            if wrong is not None or not values:
                message = f"must be a whole number between {low} and {high}" if values else "no JSON from here on"
                raise Invalid.field(self._place(count + (wrong or 0)), message)
        self.counts[self._name] = count + len(values)
        self.pending += values

    def _emit(self, found: list[Part | Entry]) -> None:
        values, self.pending = self.pending[:PART], self.pending[PART:]
        number = (self.counts[self._name] - len(self.pending) - 1) // PART
        content = (self.digests.get(self._name, "") + ",".join(map(str, values))).encode()
        self.digests[self._name] = sha256(content).hexdigest()
        found.append(Part(self.entry, self.series, number, values))

    def _sprocket(self, data: bytes, at: int, found: list[Part | Entry]) -> int:
        end = data.find(b"}", at)
        if end < 0 and len(data) - at <= _LONGEST_OBJECT:
            return at
        numbers = self._numbers(data[at:end])
        found.append(Entry(self.entry, sha256(f"sprocket {numbers}".encode()).digest(), 0, numbers))
        self._next_entry()
        self.state = "after sprocket"
        return end + 1

    def _numbers(self, raw: bytes) -> list[int]:
        try:
            given = orjson.loads(b"{%b}" % raw)
        except ValueError:
            raise Invalid.field(self._place(), "is no JSON object") from None
        # As many colons as keys: none stood twice.
        if sorted(given) != sorted(NUMBERS) or raw.count(b":") != len(NUMBERS):
            raise Invalid.field(self._place(), f"must have {', '.join(NUMBERS)}, each once and nothing else")
        numbers = [whole(given[name]) for name in NUMBERS]
        for name, number in zip(NUMBERS, numbers, strict=True):
            if type(number) is not int or not 1 <= number <= LARGEST:
                raise Invalid.field(f"{self._place()}.{name}", f"must be a whole number between 1 and {LARGEST}")
        return numbers

    @property
    def _name(self) -> str:
        return SERIES[self.series]

    def _place(self, index: int | None = None) -> str:
        if self.state in ("start", "top", "closed", "end"):
            return "file"
        where = f"{'sprockets' if 'sprocket' in self.state else 'factories'}.{self.entry}"
        if self.state in _IN_CHART:
            where += ".factory.chart_data"
        return where if index is None else f"{where}.{self._name}.{index}"
