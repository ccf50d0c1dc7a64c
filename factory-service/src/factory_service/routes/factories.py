"""Factories: list, create and delete."""

from typing import Annotated

from flask import Blueprint, Response
from pydantic import BaseModel, ConfigDict, Field

from chassis.db import Transaction
from chassis.web.app import transaction
from chassis.web.endpoints import ResponseSpec
from chassis.web.idempotency import run_idempotent
from chassis.web.validation import DIGITS, ListQuery, PlainText, endpoint
from factory_service.cache import warming
from factory_service.domain.charts import (
    FULL_RANGE,
    MAX_POINTS,
    ChartData,
    Points,
    points_from_chart,
)
from factory_service.operations import factories as operations
from factory_service.routes import examples, responses
from factory_service.routes.charts import Factory
from factory_service.routes.responses import FactoryPath, IfMatch, IfNoneMatch
from factory_service.store import charts
from factory_service.store.replica import Query, single_statement

bp = Blueprint("factories", __name__)


class Factories(BaseModel):
    factories: list[Factory]
    count: int = Field(description="Number of all factories")


class FactoriesQuery(ListQuery):
    newest: Annotated[int, Field(ge=1, le=1000), DIGITS] | None = Field(
        None, description="Limit each chart to at most this many points, the newest"
    )


class NewFactory(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: Annotated[PlainText, Field(min_length=1, max_length=255)]
    chart_data: ChartData | None = Field(None, description="The first points; none by default")


@bp.get("/api/factories", strict_slashes=False)
@endpoint(
    "List factories with their charts, ordered by ID",
    {
        200: ResponseSpec("A page of factories", Factories, headers=("ETag",), example=examples.FACTORIES),
        304: responses.NOT_MODIFIED,
        400: responses.INVALID,
        503: responses.UNAVAILABLE,
    },
    query=FactoriesQuery,
    headers=IfNoneMatch,
    tag="factories",
    description="A response shows every write that returned 2xx before. With many points, limit the charts with "
    "`newest`.",
)
def list_factories(query: FactoriesQuery, headers: IfNoneMatch) -> Response:
    page = {"limit": query.limit, "offset": query.offset}
    params = {**page, "max_points": MAX_POINTS}
    variant, page_query = warming.page_variant(page), single_statement(charts.PAGE, **params)
    if query.newest is not None:
        newest_page = single_statement(charts.NEWEST_PAGE, newest=query.newest, **params)
        # Within a snapshot, the statement reads the index even if the statistics of the points are outdated.
        variant, page_query = f"{variant}&newest={query.newest}", Query(newest_page.find, needs_snapshot=True)
    return responses.from_cache(responses.cache().read("factories", variant, page_query))


@bp.post("/api/factories", strict_slashes=False)
@endpoint(
    "Create a factory",
    {
        201: ResponseSpec("The factory", Factory, headers=("ETag", "Location"), example=examples.FACTORY),
        400: responses.INVALID,
        409: responses.CONFLICT,
        415: responses.UNSUPPORTED_MEDIA_TYPE,
        422: responses.KEY_REUSED,
        503: responses.UNAVAILABLE,
    },
    body=NewFactory,
    idempotent=True,
    tag="factories",
    example=examples.NEW_FACTORY,
    description="The points are sorted by time; of points with equal times, the last one is kept. Names may be "
    "equal. Send an `Idempotency-Key`: a repeat then creates no second factory.",
)
def create_factory(body: NewFactory) -> Response:
    points = points_from_chart(body.chart_data) if body.chart_data else Points([], [], [])

    def create(tx: Transaction) -> Response:
        id_ = operations.create_factory(tx, body.name, points, responses.now(), responses.request_id())
        warmed = warming.factory_responses(tx, id_, len(points)), warming.factory_list_responses(tx)
        warming.store_after_commit(tx, responses.redis(), *warmed)
        (row,) = tx.rows(charts.FULL[""], id=id_, **FULL_RANGE)
        return responses.from_row(row, 201, Location=f"/api/factory/{id_}")

    return run_idempotent(create)


@bp.delete("/api/factory/<id>", strict_slashes=False)
@endpoint(
    "Delete a factory and its chart",
    {
        204: ResponseSpec("The factory was deleted"),
        400: responses.INVALID,
        404: responses.FACTORY_NOT_FOUND,
        412: responses.PRECONDITION_FAILED,
        503: responses.UNAVAILABLE,
    },
    path=FactoryPath,
    headers=IfMatch,
    tag="factories",
    description="With `If-Match`, the factory is deleted only if it has not changed since; of several such "
    "changes, one succeeds.",
)
def delete_factory(id: str, headers: IfMatch) -> tuple[str, int]:
    with transaction() as tx:
        operations.delete_factory(tx, int(id), headers.if_match, responses.now(), responses.request_id())
        warming.store_after_commit(tx, responses.redis(), warming.factory_list_responses(tx))
    return "", 204
