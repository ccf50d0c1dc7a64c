"""Routes of the probe service, which exercise the features of chassis.web."""

import time
from typing import Annotated, Any

from flask import Blueprint, request
from probe_service.store.invariants import INVARIANTS
from pydantic import BaseModel, ConfigDict, Field

from chassis.db import Transaction
from chassis.errors import Conflict, NotFound, OutcomeUnknown, Unavailable
from chassis.runtime.config import ServiceSettings, UploadSettings
from chassis.web import app as web
from chassis.web import health, idempotency
from chassis.web.endpoints import ResponseSpec, problem
from chassis.web.openapi_components import Api
from chassis.web.uploads import UploadStream
from chassis.web.validation import DIGITS, INTEGER, PlainText, endpoint

bp = Blueprint("probe", __name__)
API = Api("For tests", {"things": "What tests create."})


class Name(BaseModel):
    name: PlainText = Field(max_length=20)


class PageQuery(BaseModel):
    limit: Annotated[int, Field(ge=1, le=1000), DIGITS] = 100
    offset: Annotated[int, Field(ge=0, le=2**31), DIGITS] = 0


class Thing(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: PlainText = Field(max_length=20)
    size: Annotated[int, Field(ge=0, le=9), INTEGER]


class ColorForm(BaseModel):
    color: PlainText


@bp.get("/things/<name>")
@endpoint(
    "Get a thing",
    {200: ResponseSpec("The thing", Thing), 400: problem("InvalidRequest", "Invalid")},
    path=Name,
    query=PageQuery,
)
def get_thing(name: str, query: PageQuery) -> Any:
    return {"name": name, "size": query.limit % 10}


@bp.put("/things/<name>")
@endpoint(
    "Create a thing",
    {201: ResponseSpec("Created", Thing), 400: problem("InvalidRequest", "Invalid")},
    path=Name,
    query=PageQuery,
    body=Thing,
    idempotent=True,
)
def put_thing(name: str, query: PageQuery, body: Thing) -> Any:
    def create(tx: Transaction) -> Any:
        tx.run("INSERT INTO effects (name) VALUES (%(name)s)", name=body.name)
        if body.name == "conflict":
            raise Conflict("the thing exists")
        if body.name == "returned conflict":
            return {"is_exception": False}, 409
        number = tx.value("SELECT count(*) FROM effects")
        return {"name": body.name, "size": body.size, "number": number}, 201, {"Location": f"/things/{name}"}

    return idempotency.run_idempotent(create)


@bp.post("/forms")
@endpoint("Send a form", {201: ResponseSpec("Accepted")}, form=ColorForm)
def send_form(form: ColorForm) -> Any:
    return idempotency.run_idempotent(lambda _tx: ({"color": form.color}, 201))


@bp.get("/numbers", head=False)
def issue_number() -> Any:
    return {"number": 1}


@bp.get("/errors/<kind>")
@bp.delete("/errors/<kind>")
@bp.get("/changing-errors/<kind>", endpoint="raise_error_in_change", head=False)
def raise_error(kind: str) -> Any:
    raise {
        "notfound": NotFound("thing not found"),
        "unavailable": Unavailable("the dependency is down", retry_after_seconds=7),
        "unknown": OutcomeUnknown("the connection was lost"),
        "bug": RuntimeError("secret internals"),
    }[kind]


@bp.post("/errors/<kind>")
@endpoint("Raise an error during a change that accepts a key", {}, idempotent=True)
def raise_error_in_idempotent_change(kind: str) -> Any:
    raise_error(kind)


class ImpatientStream(UploadStream):
    grace_seconds = 0.5


@bp.put("/uploads")
def put_upload() -> Any:
    body, size = ImpatientStream(request, 2**41), 0
    while chunk := body.read(64 * 1024):
        size += len(chunk)
    return {"size": size}


@bp.put("/rejected-uploads")
def reject_upload() -> Any:
    raise Conflict("uploads are not accepted now")


@bp.get("/slow")
def slow() -> Any:
    time.sleep(request.args.get("seconds", 1, type=float))
    return {"slept": True}


@bp.get("/effects")
def count_effects() -> Any:
    with web.transaction() as tx:
        return {"count": tx.value("SELECT count(*) FROM effects")}


@bp.get("/slow-query")
def slow_query() -> Any:
    with web.transaction() as tx:
        tx.value("SELECT pg_sleep(0.3)")
    return {"slept": True}


def create_app(settings: ServiceSettings | None = None) -> web.App:
    settings = settings or UploadSettings.load()
    checks = {"dependency": lambda _app: {"detail": "reachable"}}
    blueprints = [bp, health.blueprint(API, INVARIANTS, TRACE, checks)]
    return web.create_app("probe", settings, blueprints, idempotent_headers=("X-For", "X-Before"))


TRACE = (
    """
    SELECT TIMESTAMPTZ '2026-01-02 03:04:05Z' + id * interval '1 s' AS at, 'effect' AS kind, name AS what,
           id::text AS id, 'request' AS caused_by
    FROM effects WHERE name LIKE %(request_id)s || '%%'
    """,
)
