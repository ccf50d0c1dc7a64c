"""Factories: the list, a new one, one that goes, and what is produced."""

from typing import Annotated, Any

from flask import Blueprint, Response
from pydantic import BaseModel, ConfigDict, Field

from chassis.db import Transaction
from chassis.web.app import json_response, transaction
from chassis.web.idempotency import run_idempotent
from chassis.web.openapi import problem
from chassis.web.validation import ListQuery, PlainText, ResponseSpec, endpoint
from factory_service.cache import warming
from factory_service.domain.charts import (
    MOST_POINTS,
    WHOLE_SPAN,
    ChartData,
    Points,
    Production,
    points_of_chart,
    points_of_production,
)
from factory_service.operations import factories as operations
from factory_service.routes import responses
from factory_service.routes.charts import Factory
from factory_service.routes.responses import IdPath, IfMatch, IfNoneMatch
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
    {
        200: ResponseSpec("A page of them", Factories),
        304: responses.NOT_MODIFIED,
        400: responses.INVALID,
        503: responses.AWAY,
    },
    query=ListQuery,
    headers=IfNoneMatch,
)
def list_factories(query: ListQuery, headers: IfNoneMatch) -> Response:
    page = {"limit": query.limit, "offset": query.offset}
    params = {**page, "max_points": MOST_POINTS}
    response = responses.cache().read("factories", warming.page_variant(page), charts.PAGE, params)
    return responses.cached(response)


@bp.post("/api/factories", strict_slashes=False)
@endpoint(
    "Makes a factory",
    {
        201: ResponseSpec("The factory", Factory),
        400: responses.INVALID,
        409: responses.CONFLICT,
        415: responses.NO_JSON,
        422: responses.KEY_REUSED,
        503: responses.AWAY,
    },
    body=NewFactory,
    idempotent=True,
)
def create_factory(body: NewFactory) -> Response:
    points = points_of_chart(body.chart_data) if body.chart_data else Points([], [], [])

    def create(tx: Transaction) -> Response:
        id_ = operations.create_factory(tx, body.name, points, responses.now(), responses.request_id())
        warmed = warming.factory(tx, id_, len(points)), warming.factories(tx)
        warming.store_after_commit(tx, responses.redis(), *warmed)
        (row,) = tx.rows(charts.WHOLE[""], id=id_, **WHOLE_SPAN)
        return responses.written(row, 201, Location=f"/api/factory/{id_}")

    return run_idempotent(create)


@bp.delete("/api/factory/<id>", strict_slashes=False)
@endpoint(
    "Removes a factory and its chart",
    {
        204: ResponseSpec("Gone"),
        400: responses.INVALID,
        404: problem("There is no such factory"),
        412: responses.CHANGED,
        503: responses.AWAY,
    },
    path=IdPath,
    headers=IfMatch,
)
def delete_factory(id: str, headers: IfMatch) -> Any:
    with transaction() as tx:
        operations.delete_factory(tx, int(id), headers.if_match, responses.now(), responses.request_id())
        warming.store_after_commit(tx, responses.redis(), warming.factories(tx))
    return "", 204


@bp.post("/api/factory/<id>/production", strict_slashes=False)
@endpoint(
    "Takes in what was produced, once for each time however often it is sent; the value sent last wins",
    {
        202: ResponseSpec("Accepted: in the chart within a second", Accepted),
        400: responses.INVALID,
        404: problem("There is no such factory"),
        409: responses.CONFLICT,
        415: responses.NO_JSON,
        422: responses.KEY_REUSED,
        503: responses.AWAY,
    },
    path=IdPath,
    body=Production,
    idempotent=True,
)
def take_production(id: str, body: Any) -> Response:
    points = points_of_production(body)

    def accept(tx: Transaction) -> Response:
        operations.accept_production(tx, int(id), points, responses.request_id())
        return json_response(f'{{"accepted":{len(points)}}}', 202)

    return run_idempotent(accept)
