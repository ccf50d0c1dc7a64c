"""Points of production over time: their validation, and the arrays that store them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, WrapValidator
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError
from typing_extensions import TypedDict

from chassis.errors import Invalid

SERIES = ("sprocket_production_actual", "sprocket_production_goal", "time")
MAX_VALUE = 2**31
# Of all points that are stored, some of them perhaps by a release that had no other limit.
MAX_TIME = 2**53
# Of new points: the beginning of the year 2200. A later time is almost always one in milliseconds.
MAX_POINT_TIME = 7_258_118_400
LATE_TIME = f"must be at most {MAX_POINT_TIME}, the year 2200: times are in seconds, not in milliseconds"
MAX_BATCH_POINTS = 10_000
# Per response, because each response is assembled in memory.
MAX_POINTS = 1_000_000
MIN_DOWNSAMPLED_POINTS = 6

# Statement parameters that select all points of a chart.
FULL_RANGE = {"first": 0, "last": MAX_TIME, "is_filtered": False}


def as_integer(value: Any) -> Any:
    """Convert 2.0 to 2, because JSON has only one type of number; return any other value unchanged."""
    return int(value) if type(value) is float and value.is_integer() else value


def _as_integers(values: Any) -> Any:
    """Convert each value, but only if there is a float among them: that check is much faster than the conversion."""
    if isinstance(values, list) and float in set(map(type, values)):
        return [as_integer(value) for value in values]
    return values


def _as_integers_in_points(points: Any) -> Any:
    if isinstance(points, dict):
        return {name: as_integer(value) for name, value in points.items()}
    return [_as_integers_in_points(point) for point in points] if isinstance(points, list) else points


def _explain_late_times(value: Any, validate: Callable[[Any], Any]) -> Any:
    """Replace the error about a time that is too great by one with a hint."""
    try:
        return validate(value)
    except ValidationError as error:
        raise ValidationError.from_exception_data(error.title, [*map(_explain, error.errors())]) from None


def _explain(error: ErrorDetails) -> InitErrorDetails:
    context = error.get("ctx", {})
    is_late_time = context.get("le") == MAX_POINT_TIME
    type_ = PydanticCustomError("late_time", LATE_TIME) if is_late_time else error["type"]
    return InitErrorDetails(type=type_, loc=error["loc"], input=error["input"], ctx=context)


Value = Annotated[int, Field(ge=-MAX_VALUE, le=MAX_VALUE)]
Time = Annotated[int, Field(ge=0, le=MAX_TIME)]
Values = Annotated[list[Value], BeforeValidator(_as_integers)]
Times = Annotated[list[Time], BeforeValidator(_as_integers)]
PointTime = Annotated[int, Field(ge=0, le=MAX_POINT_TIME, description="Unix seconds")]
PointTimes = Annotated[list[PointTime], BeforeValidator(_as_integers), WrapValidator(_explain_late_times)]


class ChartData(TypedDict):
    """Three arrays of equal length: actual production, production goal, and time in Unix seconds."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]
    sprocket_production_actual: Values
    sprocket_production_goal: Values
    time: PointTimes


class ProductionPoint(TypedDict):
    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]
    time: PointTime
    actual: Value
    goal: Value


_ProductionBatch = Annotated[list[ProductionPoint], Field(min_length=1, max_length=MAX_BATCH_POINTS)]


def _point_or_batch() -> WrapValidator:
    """Choose the type by whether the value is a list, because a union reports each error once per alternative."""
    point, batch = TypeAdapter(ProductionPoint), TypeAdapter(_ProductionBatch)

    def validate(value: Any, _handler: Callable[[Any], Any]) -> Any:
        adapter: TypeAdapter[Any] = batch if isinstance(value, list) else point
        try:
            return adapter.validate_python(value, strict=True)
        except ValueError:
            integers = _as_integers_in_points(value)
            return _explain_late_times(integers, lambda points: adapter.validate_python(points, strict=True))

    return WrapValidator(validate)


Production = Annotated[ProductionPoint | _ProductionBatch, _point_or_batch()]


@dataclass(frozen=True)
class Points:
    """Columns of equal length; time is strictly increasing."""

    time: list[int]
    actual: list[int]
    goal: list[int]

    def __len__(self) -> int:
        return len(self.time)

    def part(self, first: int, end: int) -> "Points":
        return Points(self.time[first:end], self.actual[first:end], self.goal[first:end])


def points_from_columns(time: list[int], actual: list[int], goal: list[int]) -> Points:
    """Return the points sorted by time; of points with equal times, the last one is kept."""
    if all(map(int.__lt__, time, time[1:])):
        return Points(time, actual, goal)
    last_values = dict(zip(time, zip(actual, goal, strict=True), strict=True))
    times = sorted(last_values)
    return Points(times, [last_values[key][0] for key in times], [last_values[key][1] for key in times])


def points_from_chart(chart: ChartData) -> Points:
    """Return the points of a chart; raise Invalid with the first missing position if the arrays differ in length."""
    check_equal_lengths({name: len(chart[name]) for name in SERIES}, "chart_data")  # type: ignore[literal-required]
    return points_from_columns(chart["time"], chart["sprocket_production_actual"], chart["sprocket_production_goal"])


def check_equal_lengths(lengths: dict[str, int], path: str) -> None:
    shortest = min(lengths.values())
    if shortest != max(lengths.values()):
        name = next(name for name, length in lengths.items() if length == shortest)
        all_lengths = ", ".join(f"{other} {length}" for other, length in lengths.items())
        message = f"is required: all arrays must have the same length ({all_lengths})"
        raise Invalid.field(f"{path}.{name}.{shortest}", message)


def points_from_production(production: ProductionPoint | list[ProductionPoint]) -> Points:
    batch = production if isinstance(production, list) else [production]
    return points_from_columns(
        [point["time"] for point in batch], [point["actual"] for point in batch], [point["goal"] for point in batch]
    )


def check_point_count(points: int) -> None:
    """Raise Invalid if there are too many points for one response."""
    if points > MAX_POINTS:
        hint = "narrow the request with from and to, points, or limit"
        raise Invalid.field("points", f"must be at most {MAX_POINTS} in one response, not {points}: {hint}")
