"""Files of factories or sprockets: taken in as they come, worked off by the worker."""

import hashlib
import uuid
from typing import Annotated, Literal

from flask import Blueprint, Response, request
from pydantic import AfterValidator, BaseModel, Field

from chassis.db import Transaction
from chassis.errors import Invalid, NotFound, Problem
from chassis.messaging import outbox
from chassis.web.app import json_response, transaction
from chassis.web.idempotency import run_idempotent
from chassis.web.openapi import problem
from chassis.web.uploads import UploadStream
from chassis.web.validation import ResponseSpec, endpoint
from factory_service.routes import responses
from factory_service.store import loads as store

bp = Blueprint("loads", __name__, url_prefix="/api/factories/load")
LARGEST_BYTES = 256 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024

# What the document says of the body, which is looked at once all of it is there.
_CHART = {"sprocket_production_actual": [32], "sprocket_production_goal": [31], "time": [1611204818]}
_SPROCKET = {"teeth": 5, "pitch_diameter": 5, "outside_diameter": 6, "pitch": 1}
FILE = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {},
            "examples": {
                "factories": {"value": {"factories": [{"factory": {"chart_data": _CHART}}]}},
                "sprockets": {"value": {"sprockets": [_SPROCKET]}},
            },
        }
    },
}


def _uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise ValueError("must be a UUID") from None


class LoadPath(BaseModel):
    load: Annotated[str, Field(json_schema_extra={"format": "uuid"}), AfterValidator(_uuid)]


class Load(BaseModel):
    id: str
    status: Literal["PENDING", "PROGRESS", "SUCCESS", "FAILURE"]
    size_bytes: int
    factories: int = Field(description="New ones")
    sprockets: int = Field(description="New ones")
    points: int = Field(description="Of the new factories")
    skipped: int = Field(description="Entries that had been loaded before")
    error: str | None = Field(description="Why nothing of it was loaded: the place in the file, and what is wrong")


@bp.post("", strict_slashes=False)
@endpoint(
    "Loads a JSON file of factories or of sprockets, up to 256 MiB; what was loaded before is passed over",
    {
        202: ResponseSpec("Accepted; `Location` says how it goes", Load),
        400: responses.INVALID,
        408: problem("The upload is too slow or takes too long"),
        409: responses.CONFLICT,
        413: problem("The file is too large"),
        415: problem("The body is no JSON"),
        422: responses.KEY_REUSED,
        503: responses.AWAY,
    },
    streamed_body=FILE,
    idempotent=True,
)
def load_file() -> Response:
    if request.mimetype != "application/json":
        raise Invalid("Content-Type must be application/json", status=415)
    body = UploadStream(request, LARGEST_BYTES)
    id_ = str(uuid.uuid4())
    with transaction() as tx:
        store.insert_load(tx, id_, responses.request_id())
    is_accepted = False
    try:
        size, digest = _take_in(id_, body)

        def accept(tx: Transaction) -> Response:
            nonlocal is_accepted
            if not store.accept_load(tx, id_, size):
                raise Problem("the upload took too long", status=503)
            outbox.add(tx, outbox.job("factory.load", {"load": id_}, request_id=responses.request_id()))
            is_accepted = True
            response = json_response(_status(tx, id_), 202)
            response.headers["Location"] = f"/api/factories/load/{id_}"
            return response

        return run_idempotent(accept, body_digest=digest)
    finally:
        if not is_accepted:
            with transaction() as tx:
                store.delete_load(tx, id_)


def _take_in(id_: str, body: UploadStream) -> tuple[int, bytes]:
    """Each chunk in a transaction of its own: a slow client must not hold one open."""
    size, digest = 0, hashlib.sha256()
    for number, content in enumerate(body.chunks(_CHUNK_BYTES)):
        with transaction() as tx:
            store.insert_chunk(tx, id_, number, content)
        size += len(content)
        digest.update(content)
    if not size:
        raise Invalid.field("body", "is empty")
    return size, digest.digest()


def _status(tx: Transaction, id_: str) -> str:
    found = store.find_load(tx, id_)
    if found is None:
        raise NotFound(f"there is no load {id_}")
    return Load(**found).model_dump_json()


@bp.get("/<load>", strict_slashes=False)
@endpoint(
    "How a load goes",
    {
        200: ResponseSpec("Its status and what it has come to", Load),
        400: responses.INVALID,
        404: problem("There is no such load"),
        503: responses.AWAY,
    },
    path=LoadPath,
)
def get_load(load: str) -> Response:
    with transaction() as tx:
        return json_response(_status(tx, load))
