"""Production: submit points or a CSV file of them, and download all of them as CSV."""

from collections.abc import Iterator

from flask import Blueprint, Response
from pydantic import BaseModel, Field

from chassis.db import Database, Transaction
from chassis.web.app import json_response, this_app, transaction
from chassis.web.endpoints import ResponseSpec, problem
from chassis.web.idempotency import request_key, run_idempotent
from chassis.web.validation import endpoint
from factory_service.domain.charts import Production, ProductionPoint, points_from_production
from factory_service.domain.production_files import COLUMNS
from factory_service.operations import factories as operations
from factory_service.operations.factories import unknown_factory
from factory_service.routes import examples, responses
from factory_service.routes.charts import TimeRangeQuery
from factory_service.routes.loads import Load, accept_file
from factory_service.routes.responses import FactoryPath
from factory_service.store import factories, loads

bp = Blueprint("production", __name__, url_prefix="/api/factory/<id>")

_ROWS_PER_PAGE = 10_000
_HEADER = f"{','.join(COLUMNS)}\n"
_FILE = {"content": {"text/csv": {"schema": {"type": "string"}, "example": examples.POINTS_CSV}}}
_CSV = {"type": "string", "description": "`time,actual,goal`, ordered by time in Unix seconds"}


class AcceptedProduction(BaseModel):
    accepted: int = Field(description="Number of points with different times")


@bp.post("/production", strict_slashes=False)
@endpoint(
    "Submit production: one value per time; the value sent last wins",
    {
        202: ResponseSpec(
            "Accepted. JSON is in the chart within a second; `Location` refers to the status of the load of a file",
            AcceptedProduction | Load,
            headers=("Location",),
            example=examples.ACCEPTED,
        ),
        400: responses.INVALID,
        404: responses.FACTORY_NOT_FOUND,
        408: responses.UPLOAD_TIMEOUT,
        409: responses.CONFLICT,
        413: responses.BODY_TOO_LARGE,
        415: problem("UnsupportedProductionType", "`Content-Type` must be `application/json` or `text/csv`"),
        422: responses.KEY_REUSED,
        503: responses.UNAVAILABLE,
    },
    path=FactoryPath,
    body=Production,
    streamed_body={"required": True, **_FILE},
    idempotent=True,
    description="JSON is a point or an array of up to 10,000. A file (`text/csv`) of up to 256 MiB has the header "
    "`time,actual,goal`, with times in Unix seconds or RFC 3339. Workers record the points, once per "
    "time regardless of how often they are sent; the value sent last wins regardless of the order of delivery.",
    tag="production",
    example=examples.POINT,
)
def submit_production(id: str, body: ProductionPoint | list[ProductionPoint] | None) -> Response:
    if body is None:
        return _accept_file(int(id))
    points = points_from_production(body)

    def accept(tx: Transaction) -> Response:
        operations.accept_production(tx, int(id), points, responses.request_id())
        return json_response(f'{{"accepted":{len(points)}}}', 202)

    return run_idempotent(accept)


def _accept_file(factory_id: int) -> Response:
    def insert(tx: Transaction, load: str, size_bytes: int) -> None:
        send_number = operations.next_send_number(tx, factory_id)
        loads.insert_load(
            tx,
            load,
            size_bytes,
            responses.request_id(),
            production_factory_id=factory_id,
            send_number=send_number,
        )

    if request_key() is None:
        # Before the upload, so that no file is sent in vain. A repeated key returns its response in any case.
        with transaction() as tx:
            if not factories.exists(tx, factory_id):
                raise unknown_factory(factory_id)
    return accept_file("factory.production_load", insert)


@bp.get("/chart-data.csv", strict_slashes=False)
@endpoint(
    "Download all points of a factory as CSV",
    {
        200: ResponseSpec("The points in the order of their times", _CSV, "text/csv", example=examples.POINTS_CSV),
        400: responses.INVALID,
        404: responses.FACTORY_NOT_FOUND,
        503: responses.UNAVAILABLE,
    },
    path=FactoryPath,
    query=TimeRangeQuery,
    description="Points that are written during the download may be missing. If the factory is deleted, the "
    "connection breaks.",
    tag="production",
)
def download_points(id: str, query: TimeRangeQuery) -> Response:
    first, last = int(query.time_range["first"]), int(query.time_range["last"])
    pages = _pages(this_app().database, int(id), first, last)
    first_page = next(pages)

    def lines() -> Iterator[str]:
        yield _HEADER + first_page
        yield from pages

    response = Response(lines(), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="factory-{id}.csv"'
    return response


def _pages(database: Database, factory_id: int, first: int, last: int) -> Iterator[str]:
    """Yield the rows in pages, each read in its own transaction, so that a slow client holds none.

    Raise NotFound before any page if the factory does not exist, and between two pages if it was deleted.
    """
    while True:
        with database.transaction() as tx:
            if not factories.exists(tx, factory_id):
                raise unknown_factory(factory_id)
            rows = factories.list_points(tx, factory_id, first, last, _ROWS_PER_PAGE)
        yield "".join(f"{time},{actual},{goal}\n" for time, actual, goal in rows)
        if len(rows) < _ROWS_PER_PAGE:
            return
        first = rows[-1][0] + 1
