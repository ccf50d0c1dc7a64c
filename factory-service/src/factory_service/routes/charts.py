"""A factory, its chart (all of it or one series, filtered by time or downsampled), and its attainment."""

from typing import Annotated, Any

from flask import Blueprint, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from chassis.db import Transaction
from chassis.timestamps import TimezoneName, load_timezone
from chassis.web.endpoints import ResponseSpec
from chassis.web.validation import DIGITS, endpoint
from factory_service.domain.buckets import bucket_seconds, check_bucket_count
from factory_service.domain.charts import MAX_TIME, MIN_DOWNSAMPLED_POINTS, ChartData
from factory_service.operations import charts as operations
from factory_service.operations.factories import unknown_factory
from factory_service.routes import examples, responses
from factory_service.routes.responses import FactoryPath, IfNoneMatch
from factory_service.store import charts
from factory_service.store.replica import Query, Row, single_statement

bp = Blueprint("charts", __name__, url_prefix="/api/factory/<id>")

_READING = (
    "A response shows every write that returned 2xx before, and has at most 1,000,000 points: narrow a longer series "
    "with `from` and `to`, or downsample it with `points`. While Postgres is unavailable, a cached response is served "
    "with `Warning: 110` and `Age`."
)

Seconds = Annotated[int, Field(ge=0, le=MAX_TIME), DIGITS]


def _validate_width(text: str) -> str:
    bucket_seconds(text)
    return text


class Chart(BaseModel):
    chart_data: ChartData


class Factory(BaseModel):
    id: int
    name: str
    factory: Chart


class ProductionActual(BaseModel):
    sprocket_production_actual: list[int]


class ProductionGoal(BaseModel):
    sprocket_production_goal: list[int]


class ProductionTimes(BaseModel):
    time: list[int] = Field(description="Unix seconds")


class Bucket(BaseModel):
    time: int = Field(description="Start of the bucket, in Unix seconds")
    actual: int = Field(description="Sum of the actual production")
    goal: int = Field(description="Sum of the goals")
    ratio: float | None = Field(description="`actual` divided by `goal`; null if `goal` is 0 or less")
    missed: int = Field(description="Number of points below their goal")
    longest_miss: int = Field(description="Length of the longest run of consecutive misses")


class Attainment(BaseModel):
    buckets: list[Bucket]


class TimeRangeQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    from_: Seconds | None = Field(None, alias="from", description="Only points at or after this time, in Unix seconds")
    to: Seconds | None = Field(None, description="Only points at or before this time, in Unix seconds")

    @field_validator("to")
    @classmethod
    def _is_in_order(cls, to: int | None, info: ValidationInfo) -> int | None:
        first = info.data.get("from_")
        if first is not None and to is not None and to < first:
            raise ValueError("must not be before from")
        return to

    @property
    def time_range(self) -> dict[str, int | bool]:
        """Return statement parameters that are the same for all requests with the same effective range."""
        first, last = self.from_ or 0, MAX_TIME if self.to is None else self.to
        return {"first": first, "last": last, "is_filtered": (first, last) != (0, MAX_TIME)}


class ChartQuery(TimeRangeQuery):
    points: Annotated[int, Field(ge=MIN_DOWNSAMPLED_POINTS, le=100_000), DIGITS] | None = Field(
        None, description="Downsample to at most this many points; the extremes and both ends are kept"
    )


class AttainmentQuery(TimeRangeQuery):
    bucket: Annotated[str, AfterValidator(_validate_width)] = Field(
        "5m",
        pattern="^[1-9][0-9]{0,8}[smhdw]$",
        description="Width of a bucket in seconds, minutes, hours, days or weeks, such as 30s, 5m, 1h, 1d or 1w; at"
        " most 366d. Buckets of whole weeks, such as 7d and 1w, begin on a Monday",
    )
    tz: TimezoneName = Field("UTC", description="IANA time zone of the limits of buckets; days begin at its midnight")


def _response_specs(description: str, type_: type[BaseModel], example: Any) -> dict[int, ResponseSpec]:
    return {
        200: ResponseSpec(description, type_, headers=("ETag",), example=example),
        304: responses.NOT_MODIFIED,
        400: responses.INVALID,
        404: responses.FACTORY_NOT_FOUND,
        503: responses.UNAVAILABLE,
    }


def _chart_query(id_: int, part: str, query: ChartQuery) -> tuple[str, Query]:
    """Return the variant of the response and the query that finds it."""
    range_ = query.time_range
    first, last, points = int(range_["first"]), int(range_["last"]), query.points
    variant = f"{part}?{first}-{last}" if range_["is_filtered"] else part
    if points is None:
        return variant, single_statement(charts.FULL[part], id=id_, **range_)

    def find_downsampled(tx: Transaction) -> Row | None:
        return operations.find_downsampled(tx, part, id_, first, last, points)

    return f"{variant}&points={points}", Query(find_downsampled, needs_snapshot=True)


def _add_chart_route(
    part: str, name: str, summary: str, response: str, type_: type[BaseModel], example: Any, tag: str = "charts"
) -> None:
    @endpoint(
        summary,
        _response_specs(response, type_, example),
        path=FactoryPath,
        query=ChartQuery,
        headers=IfNoneMatch,
        tag=tag,
        description=_READING,
    )
    def get_chart(id: str, query: ChartQuery, headers: IfNoneMatch) -> Response:
        variant, chart_query = _chart_query(int(id), part, query)
        cached = responses.cache().read(f"factory:{int(id)}", variant, chart_query)
        return responses.from_cache(cached, unknown_factory(int(id)))

    bp.add_url_rule(part, name, get_chart, strict_slashes=False)


_add_chart_route(
    "", "get_factory", "Get a factory with its chart", "The factory", Factory, examples.FACTORY, "factories"
)
_add_chart_route("/chart-data", "get_chart_data", "Get the chart of a factory", "The chart", Chart, examples.CHART)
_add_chart_route(
    "/production-actual",
    "get_production_actual",
    "Get the actual production of a factory",
    "One value per point",
    ProductionActual,
    examples.ACTUAL,
)
_add_chart_route(
    "/production-goal",
    "get_production_goal",
    "Get the production goal of a factory",
    "One value per point",
    ProductionGoal,
    examples.GOAL,
)
_add_chart_route(
    "/time",
    "get_times",
    "Get the times of the points of a factory",
    "One time per point, ascending",
    ProductionTimes,
    examples.TIMES,
)


@bp.get("/attainment", strict_slashes=False)
@endpoint(
    "Compare actual production with the goal, per time bucket",
    _response_specs("The buckets that contain points, oldest first", Attainment, examples.ATTAINMENT),
    path=FactoryPath,
    query=AttainmentQuery,
    headers=IfNoneMatch,
    tag="charts",
    description="The result equals a recomputation from all points. Buckets without points are omitted; with `tz`, "
    "days and weeks follow daylight saving time.",
)
def get_attainment(id: str, query: AttainmentQuery, headers: IfNoneMatch) -> Response:
    range_, width = query.time_range, bucket_seconds(query.bucket)
    first, last = int(range_["first"]), int(range_["last"])

    def find_attainment(tx: Transaction) -> Row | None:
        return operations.find_attainment(tx, int(id), first, last, width, load_timezone(query.tz))

    variant = f"/attainment?{first}-{last}&{width}&{query.tz}"
    attainment_query = Query(find_attainment, needs_snapshot=True)
    cached = responses.cache().read(f"factory:{int(id)}", variant, attainment_query, check_bucket_count)
    return responses.from_cache(cached, unknown_factory(int(id)))
