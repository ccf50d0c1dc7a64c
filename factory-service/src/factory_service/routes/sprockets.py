"""Sprockets: created and updated by path parameters, or as JSON."""

from typing import Annotated

from flask import Blueprint, Response
from pydantic import BaseModel, Field

from chassis.db import Transaction
from chassis.web.app import transaction
from chassis.web.endpoints import ResponseSpec, problem
from chassis.web.idempotency import run_idempotent
from chassis.web.validation import DIGITS, ListQuery, endpoint
from factory_service.cache import warming
from factory_service.domain.sprockets import MAX_NUMBER, Sprocket, SprocketPatch
from factory_service.operations import sprockets as operations
from factory_service.routes import examples, responses
from factory_service.routes.responses import Id, IfMatch, IfNoneMatch
from factory_service.store import sprockets as store
from factory_service.store.replica import single_statement

bp = Blueprint("sprockets", __name__)
_NUMBERS_PATH = "<teeth>/<pitch_diameter>/<outside_diameter>/<pitch>"

PathNumber = Annotated[int, Field(ge=1, le=MAX_NUMBER), DIGITS]


class SprocketPath(BaseModel):
    id: Annotated[Id, Field(description="ID of the sprocket", examples=[1])]


class NumbersPath(BaseModel):
    teeth: Annotated[PathNumber, Field(description="Number of teeth", examples=[5])]
    pitch_diameter: Annotated[PathNumber, Field(description="Pitch diameter", examples=[5])]
    outside_diameter: Annotated[PathNumber, Field(description="Outside diameter", examples=[6])]
    pitch: Annotated[PathNumber, Field(description="Pitch", examples=[1])]


class UpdatePath(NumbersPath, SprocketPath):
    pass


class StoredSprocket(Sprocket):
    id: int


class SprocketResponse(BaseModel):
    sprocket: StoredSprocket


class Sprockets(BaseModel):
    sprockets: list[StoredSprocket]
    count: int = Field(description="Number of all sprockets")


_NOT_FOUND = problem("SprocketNotFound", "The sprocket does not exist")
_CREATE_RESPONSES = {
    201: ResponseSpec("The sprocket", SprocketResponse, headers=("ETag", "Location"), example=examples.SPROCKET),
    400: responses.INVALID,
    409: responses.CONFLICT,
    422: responses.KEY_REUSED,
    503: responses.UNAVAILABLE,
}
_UPDATE_RESPONSES = {
    200: ResponseSpec("The sprocket", SprocketResponse, headers=("ETag",), example=examples.CHANGED_SPROCKET),
    400: responses.INVALID,
    404: _NOT_FOUND,
    412: responses.PRECONDITION_FAILED,
    503: responses.UNAVAILABLE,
}


@bp.get("/api/sprockets", strict_slashes=False)
@endpoint(
    "List sprockets, ordered by ID",
    {
        200: ResponseSpec("A page of sprockets", Sprockets, headers=("ETag",), example=examples.SPROCKETS),
        304: responses.NOT_MODIFIED,
        400: responses.INVALID,
        503: responses.UNAVAILABLE,
    },
    query=ListQuery,
    headers=IfNoneMatch,
    tag="sprockets",
    description="A response shows every write that returned 2xx before.",
)
def list_sprockets(query: ListQuery, headers: IfNoneMatch) -> Response:
    page = {"limit": query.limit, "offset": query.offset}
    cached = responses.cache().read("sprockets", warming.page_variant(page), single_statement(store.PAGE, **page))
    return responses.from_cache(cached)


@bp.get("/api/sprocket/<id>", strict_slashes=False)
@endpoint(
    "Get a sprocket",
    {
        200: ResponseSpec("The sprocket", SprocketResponse, headers=("ETag",), example=examples.SPROCKET),
        304: responses.NOT_MODIFIED,
        400: responses.INVALID,
        404: _NOT_FOUND,
        503: responses.UNAVAILABLE,
    },
    path=SprocketPath,
    headers=IfNoneMatch,
    tag="sprockets",
    description="A response shows every write that returned 2xx before. Its ETag is for `If-Match`.",
)
def get_sprocket(id: str, headers: IfNoneMatch) -> Response:
    cached = responses.cache().read(f"sprocket:{int(id)}", "", single_statement(store.ONE, id=int(id)))
    return responses.from_cache(cached, operations.unknown_sprocket(int(id)))


@bp.post(f"/api/sprocket/create/{_NUMBERS_PATH}", strict_slashes=False, provide_automatic_options=False)
@endpoint(
    "Create a sprocket from path parameters",
    _CREATE_RESPONSES,
    path=NumbersPath,
    idempotent=True,
    tag="sprockets",
    description="Has the same effect as `POST /api/sprockets`, which accepts JSON.",
)
def create_sprocket_by_path(**numbers: str) -> Response:
    return _create({name: int(number) for name, number in numbers.items()})


@bp.post("/api/sprockets", strict_slashes=False)
@endpoint(
    "Create a sprocket",
    {**_CREATE_RESPONSES, 415: responses.UNSUPPORTED_MEDIA_TYPE},
    body=Sprocket,
    idempotent=True,
    tag="sprockets",
    example=examples.NUMBERS,
    description="Sprockets with equal numbers are different sprockets. Send an `Idempotency-Key`: a repeat then "
    "creates no second one.",
)
def create_sprocket(body: Sprocket) -> Response:
    return _create(body.model_dump())


def _create(numbers: dict[str, int]) -> Response:
    def create(tx: Transaction) -> Response:
        id_ = operations.create_sprocket(tx, numbers, responses.now(), responses.request_id())
        return _respond(tx, id_, 201, Location=f"/api/sprocket/{id_}")

    return run_idempotent(create)


def _respond(tx: Transaction, id_: int, status: int, **headers: str) -> Response:
    """Return the sprocket as this transaction commits it, and cache it after the commit."""
    warmed = warming.sprocket_responses(tx, id_)
    warming.store_after_commit(tx, responses.redis(), warmed, warming.sprocket_list_responses(tx))
    ((_, _, row),) = warmed
    return responses.from_row(row, status, **headers)


@bp.route(
    f"/api/sprocket/<id>/update/{_NUMBERS_PATH}",
    methods=["POST", "PUT"],
    strict_slashes=False,
    provide_automatic_options=False,
)
@endpoint(
    "Replace all four numbers of a sprocket",
    {**_UPDATE_RESPONSES, 409: responses.CONFLICT, 422: responses.KEY_REUSED},
    path=UpdatePath,
    headers=IfMatch,
    idempotent=True,
    tag="sprockets",
    description="POST and PUT have the same effect. With `If-Match`, the change is made only if the sprocket still has "
    "one of these ETags.",
)
def update_sprocket_by_path(id: str, headers: IfMatch, **numbers: str) -> Response:
    return _update(int(id), {name: int(number) for name, number in numbers.items()}, headers)


@bp.patch("/api/sprocket/<id>", strict_slashes=False)
@endpoint(
    "Replace some numbers of a sprocket",
    {**_UPDATE_RESPONSES, 409: responses.CONFLICT, 415: responses.UNSUPPORTED_MEDIA_TYPE, 422: responses.KEY_REUSED},
    path=SprocketPath,
    headers=IfMatch,
    body=SprocketPatch,
    idempotent=True,
    tag="sprockets",
    example=examples.CHANGED_NUMBERS,
    description="At least one number is required; the others do not change. With `If-Match`, of several "
    "concurrent changes one succeeds, and the others return 412.",
)
def update_sprocket(id: str, headers: IfMatch, body: SprocketPatch) -> Response:
    return _update(int(id), body.numbers(), headers)


def _update(id_: int, numbers: dict[str, int], headers: IfMatch) -> Response:
    def update(tx: Transaction) -> Response:
        operations.update_sprocket(tx, id_, numbers, headers.if_match, responses.now(), responses.request_id())
        return _respond(tx, id_, 200)

    return run_idempotent(update)


@bp.delete("/api/sprocket/<id>", strict_slashes=False)
@endpoint(
    "Delete a sprocket",
    {
        204: ResponseSpec("The sprocket was deleted"),
        400: responses.INVALID,
        404: _NOT_FOUND,
        412: responses.PRECONDITION_FAILED,
        503: responses.UNAVAILABLE,
    },
    path=SprocketPath,
    headers=IfMatch,
    tag="sprockets",
    description="With `If-Match`, the sprocket is deleted only if it has not changed since.",
)
def delete_sprocket(id: str, headers: IfMatch) -> tuple[str, int]:
    with transaction() as tx:
        operations.delete_sprocket(tx, int(id), headers.if_match, responses.now(), responses.request_id())
        warming.store_after_commit(tx, responses.redis(), warming.sprocket_list_responses(tx))
    return "", 204
