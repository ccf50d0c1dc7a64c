"""Load files of factories or sprockets: uploaded here in chunks, loaded by the worker."""

import hashlib
import uuid
from collections.abc import Callable
from typing import Annotated, Any, Literal

from flask import Blueprint, Response, request
from pydantic import AfterValidator, BaseModel, Field

from chassis.db import Transaction
from chassis.db.stored_uploads import UploadWriter
from chassis.errors import Invalid, NotFound
from chassis.messaging import outbox
from chassis.web.app import json_response, this_app, transaction
from chassis.web.endpoints import ResponseSpec, problem
from chassis.web.idempotency import run_idempotent
from chassis.web.uploads import UploadStream
from chassis.web.validation import endpoint
from factory_service.routes import examples, responses
from factory_service.store import loads as store

bp = Blueprint("loads", __name__, url_prefix="/api/factories/load")
MAX_UPLOAD_BYTES = 256 * 1024 * 1024
_READ_BYTES = 64 * 1024


def _file_of(name: str, title: str, entry: dict[str, Any]) -> dict[str, Any]:
    properties = {name: {"type": "array", "items": entry}}
    return {"type": "object", "title": title, "required": [name], "properties": properties}


_FACTORY = {
    "type": "object",
    "title": "FactoryEntry",
    "required": ["factory"],
    "properties": {"factory": {"$ref": "#/components/schemas/Chart"}},
}
_SPROCKET = {"$ref": "#/components/schemas/Sprocket"}
# The OpenAPI description of the body, which is validated only after the upload is complete.
FILE = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "oneOf": [
                    _file_of("factories", "FactoriesFile", _FACTORY),
                    _file_of("sprockets", "SprocketsFile", _SPROCKET),
                ]
            },
            "examples": {
                "factories": {"value": examples.FACTORIES_FILE},
                "sprockets": {"value": examples.SPROCKETS_FILE},
            },
        }
    },
}


def _validate_uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise ValueError("must be a UUID") from None


class LoadPath(BaseModel):
    load: Annotated[
        str, Field(description="ID of the load", json_schema_extra={"format": "uuid"}), AfterValidator(_validate_uuid)
    ]


class Load(BaseModel):
    id: str
    status: Literal["PENDING", "PROGRESS", "SUCCESS", "FAILURE"]
    size_bytes: int = Field(description="Size of the file")
    factories: int = Field(description="Number of factories created")
    sprockets: int = Field(description="Number of sprockets created")
    points: int = Field(description="Number of points of the created factories, or of the recorded production")
    skipped: int = Field(description="Number of entries that had been loaded before")
    error: str | None = Field(
        description="Why nothing was loaded: the position in the file and the error; otherwise null"
    )


@bp.post("", strict_slashes=False)
@endpoint(
    "Load a JSON file of factories or sprockets, up to 256 MiB; entries that were loaded before are skipped",
    {
        202: ResponseSpec(
            "Accepted; `Location` refers to the status of the load",
            Load,
            headers=("Location",),
            example=examples.PENDING_LOAD,
        ),
        400: responses.INVALID,
        408: responses.UPLOAD_TIMEOUT,
        409: responses.CONFLICT,
        413: responses.BODY_TOO_LARGE,
        415: responses.UNSUPPORTED_MEDIA_TYPE,
        422: responses.KEY_REUSED,
        503: responses.UNAVAILABLE,
    },
    streamed_body=FILE,
    idempotent=True,
    tag="loads",
    description="The file is received completely, then loaded in the background; follow it at the `Location`. "
    "Loading a file twice, or concurrently, adds nothing: an entry is identified by its content and "
    "its ordinal among equal entries. If any entry is invalid, nothing is loaded.",
)
def load_file() -> Response:
    if request.mimetype != "application/json":
        raise Invalid("Content-Type must be application/json", status=415)

    def insert(tx: Transaction, id_: str, size_bytes: int) -> None:
        store.insert_load(tx, id_, size_bytes, responses.request_id())

    return accept_file("factory.load", insert)


def accept_file(queue: str, insert: Callable[[Transaction, str, int], None]) -> Response:
    """Receive the body as a file and send its load to the queue; `insert` stores the load with its ID and size."""
    body = UploadStream(request, MAX_UPLOAD_BYTES)
    digest = hashlib.sha256()
    with UploadWriter(this_app().database) as writer:
        while data := body.read(_READ_BYTES):
            digest.update(data)
            writer.write(data)
        writer.finish()
        if not writer.size_bytes:
            raise Invalid.field("body", "must not be empty")

        def accept(tx: Transaction) -> Response:
            writer.accept(tx)
            insert(tx, writer.id, writer.size_bytes)
            outbox.add(tx, outbox.job(queue, {"load": writer.id}, request_id=responses.request_id()))
            response = json_response(_status(tx, writer.id), 202)
            response.headers["Location"] = f"/api/factories/load/{writer.id}"
            return response

        return run_idempotent(accept, body_digest=digest.digest())


def _status(tx: Transaction, id_: str) -> str:
    load = store.find_load(tx, id_)
    if load is None:
        raise NotFound(f"load {id_} does not exist")
    return Load(**load).model_dump_json()


@bp.get("/<load>", strict_slashes=False)
@endpoint(
    "Get the status of a load",
    {
        200: ResponseSpec("The status and the counts", Load, example=examples.LOAD),
        400: responses.INVALID,
        404: problem("LoadNotFound", "The load does not exist"),
        503: responses.UNAVAILABLE,
    },
    path=LoadPath,
    tag="loads",
    description="Also for a file of production. A load has ended when its status is SUCCESS or FAILURE, and a failed "
    "one has stored nothing.",
)
def get_load(load: str) -> Response:
    with transaction() as tx:
        return json_response(_status(tx, load))
