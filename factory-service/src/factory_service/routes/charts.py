"""A factory and its chart, whole, in parts, cut, thinned; and how far the goal was attained."""

from typing import Annotated, Any

from flask import Blueprint, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from chassis.web.openapi import problem
from chassis.web.validation import DIGITS, ResponseSpec, endpoint
from factory_service.domain.charts import (
    FEWEST_THINNED,
    LATEST_TIME,
    ChartData,
    bucket_seconds,
    check_buckets,
)
from factory_service.operations.factories import unknown_factory
from factory_service.routes import responses
from factory_service.routes.responses import IdPath, IfNoneMatch
from factory_service.store import charts

bp = Blueprint("charts", __name__, url_prefix="/api/factory/<id>")

Seconds = Annotated[int, Field(ge=0, le=LATEST_TIME), DIGITS]


def _width(text: str) -> str:
    bucket_seconds(text)
    return text


class Chart(BaseModel):
    chart_data: ChartData


class Factory(BaseModel):
    id: int
    name: str
    factory: Chart


class Actual(BaseModel):
    sprocket_production_actual: list[int]


class Goal(BaseModel):
    sprocket_production_goal: list[int]


class Time(BaseModel):
    time: list[int]


class Bucket(BaseModel):
    time: int
    actual: int
    goal: int
    ratio: float | None = Field(description="actual / goal; null where the goal was nothing")
    missed: int
    longest_miss: int


class Attainment(BaseModel):
    buckets: list[Bucket]


class SpanQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")
    from_: Seconds | None = Field(None, alias="from", description="Unix seconds, included")
    to: Seconds | None = Field(None, description="Unix seconds, included")

    @model_validator(mode="after")
    def _in_order(self) -> "SpanQuery":
        if self.from_ is not None and self.to is not None and self.from_ > self.to:
            raise ValueError("from must not be after to")
        return self

    @property
    def span(self) -> dict[str, Any]:
        """Everything is one way of asking, however it is said."""
        first, last = self.from_ or 0, LATEST_TIME if self.to is None else self.to
        return {"first": first, "last": last, "cut": (first, last) != (0, LATEST_TIME)}


class ChartQuery(SpanQuery):
    points: Annotated[int, Field(ge=FEWEST_THINNED, le=100_000), DIGITS] | None = Field(
        None, description="Thinned to at most so many; the extremes and both ends stay"
    )


class AttainmentQuery(SpanQuery):
    bucket: Annotated[str, Field(pattern="^[1-9][0-9]{0,8}[smhd]$"), AfterValidator(_width)] = "5m"


def _documented(description: str, type_: Any) -> dict[int, ResponseSpec]:
    return {
        200: ResponseSpec(description, type_),
        304: responses.NOT_MODIFIED,
        400: responses.INVALID,
        404: problem("There is no such factory"),
        503: responses.AWAY,
    }


def _add_chart_route(
    part: str, name: str, summary: str, description: str, type_: Any, query_type: type[ChartQuery] | None = ChartQuery
) -> None:
    @endpoint(summary, _documented(description, type_), path=IdPath, query=query_type, headers=IfNoneMatch)
    def get_chart(id: str, headers: IfNoneMatch, query: ChartQuery | None = None) -> Response:
        query = query or ChartQuery()
        params = {"id": int(id), "points": query.points, **query.span}
        cut = f"?{params['first']}-{params['last']}" if params["cut"] else ""
        thinned = f"&{query.points}" if query.points else ""
        sql = (charts.THINNED if query.points else charts.WHOLE)[part]
        response = responses.cache().read(f"factory:{int(id)}", f"{part}{cut}{thinned}", sql, params)
        return responses.cached(response, unknown_factory(int(id)))

    bp.add_url_rule(part, name, get_chart, strict_slashes=False)


_add_chart_route("", "get_factory", "A factory with its chart", "The factory", Factory, None)
_add_chart_route("/chart-data", "get_chart_data", "The chart alone", "The chart", Chart)
_add_chart_route("/production-actual", "get_production_actual", "What was produced", "The array", Actual)
_add_chart_route("/production-goal", "get_production_goal", "What was meant to be", "The array", Goal)
_add_chart_route("/time", "get_time", "The times", "The array", Time)


@bp.get("/attainment", strict_slashes=False)
@endpoint(
    "How far the goal was attained, in buckets of time",
    _documented("Buckets that have a point, oldest first", Attainment),
    path=IdPath,
    query=AttainmentQuery,
    headers=IfNoneMatch,
)
def get_attainment(id: str, query: AttainmentQuery, headers: IfNoneMatch) -> Response:
    params = {"id": int(id), **query.span, "width": bucket_seconds(query.bucket)}
    variant = f"/attainment?{params['first']}-{params['last']}&{params['width']}"
    response = responses.cache().read(f"factory:{int(id)}", variant, charts.ATTAINMENT, params, check_buckets)
    return responses.cached(response, unknown_factory(int(id)))
