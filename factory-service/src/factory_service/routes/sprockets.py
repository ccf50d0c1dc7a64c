"""Sprockets, by the paths they have always had and as JSON."""

from typing import Annotated, Any

from flask import Blueprint, Response
from pydantic import BaseModel, Field

from chassis.db import Transaction
from chassis.web.app import transaction
from chassis.web.openapi import problem
from chassis.web.validation import DIGITS, Answer, ListQuery, endpoint
from factory_service.cache import warming
from factory_service.domain.sprockets import LARGEST, Changes, Sprocket
from factory_service.operations import sprockets as operations
from factory_service.routes import answers
from factory_service.routes.answers import IdPath, IfMatch, IfNoneMatch, web
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
    201: Answer("The sprocket", OneSprocket),
    400: answers.INVALID,
    409: answers.CONFLICT,
    422: answers.KEY_REUSED,
    503: answers.AWAY,
}
_CHANGED = {
    200: Answer("The sprocket", OneSprocket),
    400: answers.INVALID,
    404: _UNKNOWN,
    412: answers.CHANGED,
    503: answers.AWAY,
}


@bp.get("/api/sprockets", strict_slashes=False)
@endpoint(
    "All sprockets, by id",
    {200: Answer("A page of them", Sprockets), 304: answers.NOT_MODIFIED, 400: answers.INVALID, 503: answers.AWAY},
    query=ListQuery,
    headers=IfNoneMatch,
)
def list_sprockets(query: ListQuery, headers: IfNoneMatch) -> Response:
    page = {"limit": query.limit, "offset": query.offset}
    return answers.answer(find_page(web(), page), lambda: operations.unknown_sprocket(0))


def find_page(own: answers.Web, page: dict[str, int]) -> Any:
    return own.read("sprockets", warming.way_of_page(page), store.PAGE, page)


@bp.get("/api/sprocket/<id>", strict_slashes=False)
@endpoint(
    "One sprocket",
    {
        200: Answer("The sprocket", OneSprocket),
        304: answers.NOT_MODIFIED,
        400: answers.INVALID,
        404: _UNKNOWN,
        503: answers.AWAY,
    },
    path=IdPath,
    headers=IfNoneMatch,
)
def get_sprocket(id: str, headers: IfNoneMatch) -> Response:
    return answers.answer(find_sprocket(web(), int(id)), lambda: operations.unknown_sprocket(int(id)))


def find_sprocket(own: answers.Web, id_: int) -> Any:
    return own.read(f"sprocket:{id_}", "/", store.ONE, {"id": id_})


@bp.post(f"/api/sprocket/create/{_IN_PATH}", strict_slashes=False, provide_automatic_options=False)
@endpoint("Makes a sprocket", _MADE, path=NumbersPath, idempotent=True)
def create_sprocket_by_path(**numbers: str) -> Response:
    return _create({name: int(number) for name, number in numbers.items()})


@bp.post("/api/sprockets", strict_slashes=False)
@endpoint("Makes a sprocket", {**_MADE, 415: answers.NO_JSON}, body=Sprocket, idempotent=True)
def create_sprocket(body: Sprocket) -> Response:
    return _create(body.model_dump())


def _create(numbers: dict[str, int]) -> Response:
    def create(tx: Transaction) -> Response:
        id_ = operations.create_sprocket(tx, numbers, answers.now(), answers.request_id())
        return answers.made(_changed(tx, id_), 201, Location=f"/api/sprocket/{id_}")

    return answers.once(create)


def _changed(tx: Transaction, id_: int) -> answers.Loaded:
    """The sprocket as it is from now on."""
    change = web().answers.changing(tx, f"sprocket:{id_}", "sprockets")
    warming.sprocket(tx, change, id_)
    warming.list_of_sprockets(tx, change)
    return answers.one(tx, store.ONE, id=id_)


@bp.route(
    f"/api/sprocket/<id>/update/{_IN_PATH}",
    methods=["POST", "PUT"],
    strict_slashes=False,
    provide_automatic_options=False,
)
@endpoint(
    "Gives a sprocket all four numbers",
    {**_CHANGED, 409: answers.CONFLICT, 422: answers.KEY_REUSED},
    path=UpdatePath,
    headers=IfMatch,
    idempotent=True,
)
def update_sprocket_by_path(id: str, headers: IfMatch, **numbers: str) -> Response:
    return _update(int(id), {name: int(number) for name, number in numbers.items()}, headers)


@bp.patch("/api/sprocket/<id>", strict_slashes=False)
@endpoint(
    "Gives a sprocket some of its numbers",
    {**_CHANGED, 409: answers.CONFLICT, 415: answers.NO_JSON, 422: answers.KEY_REUSED},
    path=IdPath,
    headers=IfMatch,
    body=Changes,
    idempotent=True,
)
def change_sprocket(id: str, headers: IfMatch, body: Changes) -> Response:
    return _update(int(id), body.given(), headers)


def _update(id_: int, numbers: dict[str, int], headers: IfMatch) -> Response:
    def update(tx: Transaction) -> Response:
        operations.update_sprocket(tx, id_, numbers, headers.if_match, answers.now(), answers.request_id())
        return answers.made(_changed(tx, id_), 200)

    return answers.once(update)


@bp.delete("/api/sprocket/<id>", strict_slashes=False)
@endpoint(
    "Removes a sprocket",
    {204: Answer("Gone"), 400: answers.INVALID, 404: _UNKNOWN, 412: answers.CHANGED, 503: answers.AWAY},
    path=IdPath,
    headers=IfMatch,
)
def delete_sprocket(id: str, headers: IfMatch) -> Any:
    with transaction() as tx:
        operations.delete_sprocket(tx, int(id), headers.if_match, answers.now(), answers.request_id())
        change = web().answers.changing(tx, f"sprocket:{int(id)}", "sprockets")
        warming.list_of_sprockets(tx, change)
    return "", 204
