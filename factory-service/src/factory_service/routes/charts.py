"""A factory and its chart, whole, in parts, cut, thinned; and how far the goal was attained."""

from typing import Annotated, Any

from flask import Blueprint, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from chassis.errors import Invalid
from chassis.web.openapi import problem
from chassis.web.validation import DIGITS, Answer, endpoint
from factory_service.domain.charts import FEWEST_THINNED, LATEST_TIME, MOST_BUCKETS, ChartData, bucket_seconds
from factory_service.operations.factories import unknown_factory
from factory_service.routes import answers
from factory_service.routes.answers import IdPath, IfNoneMatch, Loaded, web
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


def _answers(description: str, type_: Any) -> dict[int, Answer]:
    return {
        200: Answer(description, type_),
        304: answers.NOT_MODIFIED,
        400: answers.INVALID,
        404: problem("There is no such factory"),
        503: answers.AWAY,
    }


@bp.get("", strict_slashes=False)
@endpoint("A factory with its chart", _answers("The factory", Factory), path=IdPath, headers=IfNoneMatch)
def get_factory(id: str, headers: IfNoneMatch) -> Response:
    return _chart(id, "", ChartQuery())


@bp.get("/chart-data", strict_slashes=False)
@endpoint("The chart alone", _answers("The chart", Chart), path=IdPath, query=ChartQuery, headers=IfNoneMatch)
def get_chart_data(id: str, query: ChartQuery, headers: IfNoneMatch) -> Response:
    return _chart(id, "/chart-data", query)


@bp.get("/production-actual", strict_slashes=False)
@endpoint("What was produced", _answers("The array", Actual), path=IdPath, query=ChartQuery, headers=IfNoneMatch)
def get_production_actual(id: str, query: ChartQuery, headers: IfNoneMatch) -> Response:
    return _chart(id, "/production-actual", query)


@bp.get("/production-goal", strict_slashes=False)
@endpoint("What was meant to be", _answers("The array", Goal), path=IdPath, query=ChartQuery, headers=IfNoneMatch)
def get_production_goal(id: str, query: ChartQuery, headers: IfNoneMatch) -> Response:
    return _chart(id, "/production-goal", query)


@bp.get("/time", strict_slashes=False)
@endpoint("The times", _answers("The array", Time), path=IdPath, query=ChartQuery, headers=IfNoneMatch)
def get_time(id: str, query: ChartQuery, headers: IfNoneMatch) -> Response:
    return _chart(id, "/time", query)


def _chart(id_: str, part: str, query: ChartQuery) -> Response:
    return answers.answer(find_chart(web(), int(id_), part, query), lambda: unknown_factory(int(id_)))


def find_chart(own: answers.Web, id_: int, part: str, query: ChartQuery) -> Any:
    params = {"id": id_, **query.span}
    way = f"{part}?{params['first']}-{params['last']}" if params["cut"] else part or "/"
    if query.points is None and not params["cut"]:
        return own.read_chart(id_, part, params)
    if query.points is None:
        return own.read(f"factory:{id_}", way, charts.WHOLE[part], params)
    params["points"] = query.points
    return own.read(f"factory:{id_}", f"{way}&{query.points}", charts.THINNED[part], params)


@bp.get("/attainment", strict_slashes=False)
@endpoint(
    "How far the goal was attained, in buckets of time",
    _answers("Buckets that have a point, oldest first", Attainment),
    path=IdPath,
    query=AttainmentQuery,
    headers=IfNoneMatch,
)
def get_attainment(id: str, query: AttainmentQuery, headers: IfNoneMatch) -> Response:
    params = {"id": int(id), **query.span, "width": bucket_seconds(query.bucket)}
    way = f"/attainment?{params['first']}-{params['last']}&{params['width']}"

    def load(locked: bool) -> Loaded:
        row = web_.sources.find(f"factory:{int(id)}", charts.ATTAINMENT, params, locked=locked)
        if row and row[2] > MOST_BUCKETS:
            raise Invalid.field("bucket", f"more than {MOST_BUCKETS} buckets: take a wider one, or a shorter time")
        return row and (row[0], row[1])

    web_ = web()
    return answers.answer(web_.answers.read(f"factory:{int(id)}", way, load), lambda: unknown_factory(int(id)))
