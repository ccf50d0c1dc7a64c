"""Sprockets, by the paths they have always had and as JSON."""

from typing import Annotated, Any

from flask import Blueprint, Response
from pydantic import BaseModel, Field

from chassis.db import Transaction
from chassis.web.app import transaction
from chassis.web.idempotency import run_idempotent
from chassis.web.openapi import problem
from chassis.web.validation import DIGITS, ListQuery, ResponseSpec, endpoint
from factory_service.cache import warming
from factory_service.domain.sprockets import LARGEST, Changes, Sprocket
from factory_service.operations import sprockets as operations
from factory_service.routes import responses
from factory_service.routes.responses import IdPath, IfMatch, IfNoneMatch
from factory_service.store import sprockets as store

bp = Blueprint("sprockets", __name__)
_IN_PATH = "<teeth>/<pitch_diameter>/<outside_diameter>/<pitch>"

InPath = Annotated[int, Field(ge=1, le=LARGEST), DIGITS]


class NumbersPath(BaseModel):
    teeth: InPath
    pitch_diameter: InPath
    outside_diameter: InPath
    pitch: InPath


class UpdatePath(NumbersPath, IdPath):
    pass


class KnownSprocket(Sprocket):
    id: int


class OneSprocket(BaseModel):
    sprocket: KnownSprocket


class Sprockets(BaseModel):
    sprockets: list[KnownSprocket]
    count: int


_UNKNOWN = problem("There is no such sprocket")
_MADE = {
    201: ResponseSpec("The sprocket", OneSprocket),
    400: responses.INVALID,
    409: responses.CONFLICT,
    422: responses.KEY_REUSED,
    503: responses.AWAY,
}
_CHANGED = {
    200: ResponseSpec("The sprocket", OneSprocket),
    400: responses.INVALID,
    404: _UNKNOWN,
    412: responses.CHANGED,
    503: responses.AWAY,
}


@bp.get("/api/sprockets", strict_slashes=False)
@endpoint(
    "All sprockets, by id",
    {
        200: ResponseSpec("A page of them", Sprockets),
        304: responses.NOT_MODIFIED,
        400: responses.INVALID,
        503: responses.AWAY,
    },
    query=ListQuery,
    headers=IfNoneMatch,
)
def list_sprockets(query: ListQuery, headers: IfNoneMatch) -> Response:
    page = {"limit": query.limit, "offset": query.offset}
    response = responses.cache().read("sprockets", warming.page_variant(page), store.PAGE, page)
    return responses.cached(response)


@bp.get("/api/sprocket/<id>", strict_slashes=False)
@endpoint(
    "One sprocket",
    {
        200: ResponseSpec("The sprocket", OneSprocket),
        304: responses.NOT_MODIFIED,
        400: responses.INVALID,
        404: _UNKNOWN,
        503: responses.AWAY,
    },
    path=IdPath,
    headers=IfNoneMatch,
)
def get_sprocket(id: str, headers: IfNoneMatch) -> Response:
    response = responses.cache().read(f"sprocket:{int(id)}", "", store.ONE, {"id": int(id)})
    return responses.cached(response, operations.unknown_sprocket(int(id)))


@bp.post(f"/api/sprocket/create/{_IN_PATH}", strict_slashes=False, provide_automatic_options=False)
@endpoint("Makes a sprocket", _MADE, path=NumbersPath, idempotent=True)
def create_sprocket_by_path(**numbers: str) -> Response:
    return _create({name: int(number) for name, number in numbers.items()})


@bp.post("/api/sprockets", strict_slashes=False)
@endpoint("Makes a sprocket", {**_MADE, 415: responses.NO_JSON}, body=Sprocket, idempotent=True)
def create_sprocket(body: Sprocket) -> Response:
    return _create(body.model_dump())


def _create(numbers: dict[str, int]) -> Response:
    def create(tx: Transaction) -> Response:
        id_ = operations.create_sprocket(tx, numbers, responses.now(), responses.request_id())
        return _written(tx, id_, 201, Location=f"/api/sprocket/{id_}")

    return run_idempotent(create)


def _written(tx: Transaction, id_: int, status: int, **headers: str) -> Response:
    """The sprocket as it is from the commit on."""
    warmed = warming.sprocket(tx, id_)
    warming.store_after_commit(tx, responses.redis(), warmed, warming.sprocket_list(tx))
    ((_, _, row),) = warmed
    return responses.written(row, status, **headers)


@bp.route(
    f"/api/sprocket/<id>/update/{_IN_PATH}",
    methods=["POST", "PUT"],
    strict_slashes=False,
    provide_automatic_options=False,
)
@endpoint(
    "Gives a sprocket all four numbers",
    {**_CHANGED, 409: responses.CONFLICT, 422: responses.KEY_REUSED},
    path=UpdatePath,
    headers=IfMatch,
    idempotent=True,
)
def update_sprocket_by_path(id: str, headers: IfMatch, **numbers: str) -> Response:
    return _update(int(id), {name: int(number) for name, number in numbers.items()}, headers)


@bp.patch("/api/sprocket/<id>", strict_slashes=False)
@endpoint(
    "Gives a sprocket some of its numbers",
    {**_CHANGED, 409: responses.CONFLICT, 415: responses.NO_JSON, 422: responses.KEY_REUSED},
    path=IdPath,
    headers=IfMatch,
    body=Changes,
    idempotent=True,
)
def change_sprocket(id: str, headers: IfMatch, body: Changes) -> Response:
    return _update(int(id), body.numbers(), headers)


def _update(id_: int, numbers: dict[str, int], headers: IfMatch) -> Response:
    def update(tx: Transaction) -> Response:
        operations.update_sprocket(tx, id_, numbers, headers.if_match, responses.now(), responses.request_id())
        return _written(tx, id_, 200)

    return run_idempotent(update)


@bp.delete("/api/sprocket/<id>", strict_slashes=False)
@endpoint(
    "Removes a sprocket",
    {204: ResponseSpec("Gone"), 400: responses.INVALID, 404: _UNKNOWN, 412: responses.CHANGED, 503: responses.AWAY},
    path=IdPath,
    headers=IfMatch,
)
def delete_sprocket(id: str, headers: IfMatch) -> Any:
    with transaction() as tx:
        operations.delete_sprocket(tx, int(id), headers.if_match, responses.now(), responses.request_id())
        warming.store_after_commit(tx, responses.redis(), warming.sprocket_list(tx))
    return "", 204
