"""Routes for the schemas of a stream's events."""

from typing import Annotated, Any

from flask import Blueprint, Response, request
from pydantic import Field
from typing_extensions import TypedDict

from chassis import strictjson
from chassis.errors import Problem
from chassis.web.app import json_response, transaction
from chassis.web.endpoints import ResponseSpec
from chassis.web.validation import DIGITS, ListQuery, endpoint
from event_service.domain.events import MAX_EVENT_BYTES, MAX_VERSION
from event_service.domain.names import EventName
from event_service.domain.ownership import second_writer_error
from event_service.domain.schemas import Document, Schema
from event_service.operations import schemas
from event_service.routes import examples
from event_service.routes.context import caller, context
from event_service.routes.parameters import StreamPath
from event_service.routes.responses import (
    COMMON_ERRORS,
    FORBIDDEN,
    INVALID,
    LOCKED,
    OK,
    TOO_LARGE,
    UNAVAILABLE,
    ok,
)

bp = Blueprint("schemas", __name__, url_prefix="/api/v1/streams/<stream>/schemas")


class SchemaPath(StreamPath):
    name: Annotated[
        EventName, Field(description="Name of the events, without `/`", examples=["Webshop order was placed"])
    ]
    version: Annotated[int, Field(ge=1, le=MAX_VERSION, description="Version of the events"), DIGITS]


class SchemaKey(TypedDict):
    eventName: str
    version: int


class SchemasPage(TypedDict):
    schemas: list[SchemaKey]
    total: int


@bp.get("")
@endpoint(
    "List the names and versions that have a schema",
    {200: ResponseSpec("One page of names and versions", SchemasPage, example=examples.SCHEMAS), **COMMON_ERRORS},
    path=StreamPath,
    query=ListQuery,
    description="Before the first event of a stream, these are the schemas that the same user has set.",
    tag="schemas",
)
def list_schemas(stream: str, query: ListQuery) -> dict[str, Any]:
    with transaction() as tx:
        keys, total = schemas.list_schema_keys(tx, stream, caller(), query.limit, query.offset)
    return {"schemas": [{"eventName": name, "version": version} for name, version in keys], "total": total}


@bp.get("/<name>/<version>")
@endpoint(
    "Get a JSON Schema",
    {200: ResponseSpec("The schema as it was set", Document, example=examples.SCHEMA), **COMMON_ERRORS},
    path=SchemaPath,
    tag="schemas",
    description="Before the first event of a stream, only the user who set the schema finds it.",
)
def get_schema(stream: str, name: str, version: str) -> Response:
    with transaction() as tx:
        return json_response(schemas.get_schema(tx, stream, name, int(version), caller()))


@bp.put("/<name>/<version>")
@endpoint(
    "Set the JSON Schema that later payloads of this name and version are validated against",
    {200: OK, 400: INVALID, 403: FORBIDDEN, 413: TOO_LARGE, 423: LOCKED, 503: UNAVAILABLE},
    path=SchemaPath,
    body=Document,
    description="If the stream has events, only its owner and admins may set schemas. A schema that is set before the "
    "first event, even by an admin, binds only the user who set it: it applies if that user appends the first event, "
    "and is deleted if another user does.",
    tag="schemas",
    example=examples.SCHEMA,
)
def set_schema(stream: str, name: str, version: str, body: Document) -> Response:
    if len(request.get_data()) > MAX_EVENT_BYTES:
        raise Problem(f"the body must have at most {MAX_EVENT_BYTES} bytes", status=413)
    Schema(body)
    _reject_reserved(stream)
    with transaction() as tx:
        schemas.put_schema(tx, stream, name, int(version), strictjson.dumps(body), caller())
    return ok()


@bp.delete("/<name>/<version>")
@endpoint(
    "Delete a JSON Schema: later payloads of this name and version are not validated",
    {204: ResponseSpec("The schema was deleted"), 403: FORBIDDEN, 423: LOCKED, **COMMON_ERRORS},
    path=SchemaPath,
    tag="schemas",
    description="Only the owner of the stream and admins may do this. Events that are stored already do not change.",
)
def delete_schema(stream: str, name: str, version: str) -> tuple[str, int]:
    _reject_reserved(stream)
    with transaction() as tx:
        schemas.delete_schema(tx, stream, name, int(version), caller())
    return "", 204


def _reject_reserved(stream: str) -> None:
    if stream in context().settings.reserved:
        raise second_writer_error()
