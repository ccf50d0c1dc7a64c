"""Factories: the list, a new one, one that goes, and what is produced."""

from typing import Annotated, Any

from flask import Blueprint, Response
from pydantic import BaseModel, ConfigDict, Field

from chassis.db import Transaction
from chassis.web.app import json_response, transaction
from chassis.web.openapi import problem
from chassis.web.validation import Answer, ListQuery, PlainText, endpoint
from factory_service.cache import warming
from factory_service.domain.charts import (
    MOST_POINTS,
    ChartData,
    Points,
    Production,
    points_of_chart,
    points_of_production,
)
from factory_service.operations import factories as operations
from factory_service.routes import answers
from factory_service.routes.answers import IdPath, IfMatch, IfNoneMatch, web
from factory_service.routes.charts import Factory
from factory_service.store import charts

bp = Blueprint("factories", __name__)


class Factories(BaseModel):
    factories: list[Factory]
    count: int


class NewFactory(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: Annotated[PlainText, Field(min_length=1, max_length=255)]
    chart_data: ChartData | None = None


class Accepted(BaseModel):
    accepted: int = Field(description="How many points, one for each time")


@bp.get("/api/factories", strict_slashes=False)
@endpoint(
    "All factories with their charts, by id",
    {200: Answer("A page of them", Factories), 304: answers.NOT_MODIFIED, 400: answers.INVALID, 503: answers.AWAY},
    query=ListQuery,
    headers=IfNoneMatch,
)
def list_factories(query: ListQuery, headers: IfNoneMatch) -> Response:
    page = {"limit": query.limit, "offset": query.offset}
    return answers.answer(find_page(web(), page), lambda: operations.unknown_factory(0))


def find_page(own: answers.Web, page: dict[str, int]) -> Any:
    return own.read("factories", warming.way_of_page(page), charts.PAGE, {**page, "most": MOST_POINTS})


@bp.post("/api/factories", strict_slashes=False)
@endpoint(
    "Makes a factory",
    {
        201: Answer("The factory", Factory),
        400: answers.INVALID,
        409: answers.CONFLICT,
        415: answers.NO_JSON,
        422: answers.KEY_REUSED,
        503: answers.AWAY,
    },
    body=NewFactory,
    idempotent=True,
)
def create_factory(body: NewFactory) -> Response:
    points = points_of_chart(body.chart_data) if body.chart_data else Points([], [], [])

    def create(tx: Transaction) -> Response:
        id_ = operations.create_factory(tx, body.name, points, answers.now(), answers.request_id())
        change = web().answers.changing(tx, f"factory:{id_}", "factories")
        warming.factory(tx, change, id_, len(points))
        warming.factories(tx, change)
        found = answers.one(tx, charts.WHOLE[""], id=id_, **warming.EVERYTHING)
        return answers.made(found, 201, Location=f"/api/factory/{id_}")

    return answers.once(create)


@bp.delete("/api/factory/<id>", strict_slashes=False)
@endpoint(
    "Removes a factory and its chart",
    {
        204: Answer("Gone"),
        400: answers.INVALID,
        404: problem("There is no such factory"),
        412: answers.CHANGED,
        503: answers.AWAY,
    },
    path=IdPath,
    headers=IfMatch,
)
def delete_factory(id: str, headers: IfMatch) -> Any:
    with transaction() as tx:
        operations.delete_factory(tx, int(id), headers.if_match, answers.now(), answers.request_id())
        warming.factories(tx, web().answers.changing(tx, f"factory:{int(id)}", "factories"))
    return "", 204


@bp.post("/api/factory/<id>/production", strict_slashes=False)
@endpoint(
    "Takes in what was produced, once for each time however often it is sent; the value sent last wins",
    {
        202: Answer("Accepted: in the chart within a second", Accepted),
        400: answers.INVALID,
        404: problem("There is no such factory"),
        409: answers.CONFLICT,
        415: answers.NO_JSON,
        422: answers.KEY_REUSED,
        503: answers.AWAY,
    },
    path=IdPath,
    body=Production,
    idempotent=True,
)
def take_production(id: str, body: Any) -> Response:
    points = points_of_production(body)

    def accept(tx: Transaction) -> Response:
        operations.accept_production(tx, int(id), points, answers.request_id())
        return json_response(f'{{"accepted":{len(points)}}}', 202)

    return answers.once(accept)
