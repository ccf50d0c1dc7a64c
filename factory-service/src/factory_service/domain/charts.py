"""Points of production over time, as they are sent and as they are kept."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, WrapValidator
from typing_extensions import TypedDict

from chassis.errors import Invalid

SERIES = ("sprocket_production_actual", "sprocket_production_goal", "time")
LARGEST_VALUE = 2**31
LATEST_TIME = 2**53
MOST_AT_ONCE = 10_000
# Of one answer, which is put together in memory.
MOST_POINTS = 1_000_000
MOST_BUCKETS = 100_000
FEWEST_THINNED = 6

_BUCKET = re.compile(r"([1-9][0-9]{0,8})([smhd])\Z", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
WIDEST_BUCKET_SECONDS = 366 * 86400
# All points of a chart, as parameters of its statement.
WHOLE_SPAN = {"first": 0, "last": LATEST_TIME, "cut": False}


def whole(value: Any) -> Any:
    """JSON knows one kind of number: 2.0 is the integer 2."""
    return int(value) if type(value) is float and value.is_integer() else value


def _whole_all(values: Any) -> Any:
    """A step of Python for each value only where there is a float among them."""
    if isinstance(values, list) and float in set(map(type, values)):
        return [whole(value) for value in values]
    return values


def _whole_in_each(points: Any) -> Any:
    if isinstance(points, dict):
        return {name: whole(value) for name, value in points.items()}
    return [_whole_in_each(point) for point in points] if isinstance(points, list) else points


Value = Annotated[int, Field(ge=-LARGEST_VALUE, le=LARGEST_VALUE)]
Time = Annotated[int, Field(ge=0, le=LATEST_TIME)]
Values = Annotated[list[Value], BeforeValidator(_whole_all)]
Times = Annotated[list[Time], BeforeValidator(_whole_all)]


class ChartData(TypedDict):
    """Three arrays of one length: what happened, what was meant to, and when, in unix seconds."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]
    sprocket_production_actual: Values
    sprocket_production_goal: Values
    time: Times


class SentPoint(TypedDict):
    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]
    time: Time
    actual: Value
    goal: Value


_Several = Annotated[list[SentPoint], Field(min_length=1, max_length=MOST_AT_ONCE)]


def _one_or_several() -> WrapValidator:
    """Decided by the look of it: a union would complain once for each of its branches."""
    one, several = TypeAdapter(SentPoint), TypeAdapter(_Several)

    def choose(value: Any, _handler: Callable[[Any], Any]) -> Any:
        adapter = several if isinstance(value, list) else one
        try:
            return adapter.validate_python(value, strict=True)
        except ValueError:
            return adapter.validate_python(_whole_in_each(value), strict=True)

    return WrapValidator(choose)


Production = Annotated[SentPoint | _Several, _one_or_several()]


@dataclass(frozen=True)
class Points:
    """Columns of one length; time strictly increasing."""

    time: list[int]
    actual: list[int]
    goal: list[int]

    def __len__(self) -> int:
        return len(self.time)


def points_of(time: list[int], actual: list[int], goal: list[int]) -> Points:
    """Sorted; of equal times the last stays."""
    if all(map(int.__lt__, time, time[1:])):
        return Points(time, actual, goal)
    last = {moment: (a, g) for moment, a, g in zip(time, actual, goal, strict=True)}
    times = sorted(last)
    return Points(times, [last[moment][0] for moment in times], [last[moment][1] for moment in times])


def points_of_chart(chart: ChartData) -> Points:
    """Raises Invalid where the arrays differ in length, naming the first place that is not in all of them."""
    check_lengths({name: len(chart[name]) for name in SERIES}, "chart_data")  # type: ignore[literal-required]
    return points_of(chart["time"], chart["sprocket_production_actual"], chart["sprocket_production_goal"])


def check_lengths(lengths: dict[str, int], where: str) -> None:
    shortest = min(lengths.values())
    if shortest != max(lengths.values()):
        name = next(name for name, length in lengths.items() if length == shortest)
        told = ", ".join(f"{other} {length}" for other, length in lengths.items())
        raise Invalid.field(f"{where}.{name}.{shortest}", f"is missing: the arrays must have one length ({told})")


def points_of_production(sent: Any) -> Points:
    several = sent if isinstance(sent, list) else [sent]
    time, actual, goal = ([point[name] for point in several] for name in ("time", "actual", "goal"))
    return points_of(time, actual, goal)


def bucket_seconds(text: str) -> int:
    """Raises ValueError for what is no width."""
    match = _BUCKET.match(text)
    seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
    if not 1 <= seconds <= WIDEST_BUCKET_SECONDS:
        raise ValueError("must be a width such as 30s, 5m, 1h or 7d, at most 366d")
    return seconds


def check_points(points: int) -> None:
    """Raises Invalid if that is too many for one response."""
    if points > MOST_POINTS:
        advice = "ask for fewer with from and to, points, or limit"
        raise Invalid.field("points", f"{points} are more than {MOST_POINTS} in one answer: {advice}")


def check_buckets(buckets: int) -> None:
    """Raises Invalid if that is too many for one response."""
    if buckets > MOST_BUCKETS:
        raise Invalid.field("bucket", f"more than {MOST_BUCKETS} buckets: take a wider one, or a shorter time")
