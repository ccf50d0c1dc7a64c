"""Files: those that owners upload as sources, and those that pipelines have created."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from flask import Blueprint, Response, request
from pydantic import AfterValidator, Field
from typing_extensions import TypedDict
from werkzeug.datastructures import Range

from chassis.errors import Invalid, Problem
from chassis.web.app import this_app, transaction
from chassis.web.endpoints import ResponseSpec, problem
from chassis.web.uploads import UploadStream
from chassis.web.validation import endpoint
from specstore_service.domain import files
from specstore_service.domain.names import check_location, is_url
from specstore_service.operations.pipeline_context import HashingWriter
from specstore_service.routes import examples
from specstore_service.routes.responses import (
    INVALID,
    NO_TOKEN,
    NOT_FOUND,
    OPTIONAL_TOKEN,
    TOKEN,
    UNAVAILABLE,
    DownloadHeaders,
    OwnerPath,
    RevisionPath,
    TokenHeader,
    TokenQuery,
    is_owner_token,
    not_found,
    require_owner,
    route_context,
)
from specstore_service.store import flows, jobs
from specstore_service.store.jobs import Result
from specstore_service.store.object_stores import create_object_store
from specstore_service.store.objects import (
    CHUNK_BYTES,
    ObjectStore,
    file_key,
    remaining_bytes,
    scratch_file,
    translate_storage_errors,
)

bp = Blueprint("files", __name__, url_prefix="/source/<owner>")

_PATH = "Path of the file, as specs refer to it; `%2F`, as which many generated clients send `/`, is rejected"
_BINARY = {"type": "string", "format": "binary"}
# The second is that of the file.
_TYPES = (files.BYTES_TYPE, "*/*")
_FILE = {
    "required": True,
    "description": "The file; any other `Content-Type` is accepted too",
    "content": {files.BYTES_TYPE: {"schema": _BINARY, "example": examples.CSV}},
}


class StoredFile(TypedDict):
    path: str
    bytes: Annotated[int, Field(description="Size of the file")]
    hash: Annotated[str, Field(description="`sha256:` and the digest of the file")]


def _check_relative(value: str) -> str:
    if is_url(value):
        raise ValueError("must be a relative path, not a URL")
    return check_location(value)


class FilePath(OwnerPath):
    path: Annotated[
        str,
        Field(max_length=1024, description=_PATH, examples=["wines/reds.csv"]),
        AfterValidator(_check_relative),
    ]


class ResultPath(RevisionPath):
    file: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,160}$", description="Name of a file", examples=["reds.csv"])
    ]


@bp.put("/files/<path:path>")
@endpoint(
    "Store the body, of any type, as a file that the owner's specs can use as a source",
    {
        200: ResponseSpec(
            "The file is stored and replaces an older one with the same path", StoredFile, example=examples.STORED_FILE
        ),
        400: INVALID,
        401: NO_TOKEN,
        403: NO_TOKEN,
        408: problem("UploadTimeout", "The upload is too slow or takes too long"),
        413: problem("FileTooLarge", "The file exceeds the maximum size, or the remaining quota of the owner"),
        415: problem("EncodedBody", "The body must not have a Content-Encoding"),
        503: UNAVAILABLE,
    },
    path=FilePath,
    query=TokenQuery,
    headers=TokenHeader,
    tag="files",
    security=TOKEN,
    streamed_body=_FILE,
    description="A file may have 1 GiB (configurable), and replaces one with the same path atomically. Pipelines "
    "that are reading the older file continue to read that.",
)
def upload_file(owner: str, path: str, query: TokenQuery, headers: TokenHeader) -> StoredFile:
    require_owner(owner, headers, query)
    if "Content-Range" in request.headers:
        raise Invalid.field("Content-Range", "is not supported: send the complete file")
    body = UploadStream(request, route_context().settings.source_bytes)
    objects = create_object_store(route_context().settings)
    _check_quota(objects, owner, path, request.content_length or 0)
    with scratch_file(objects) as scratch:
        writer = _receive_body(body, scratch)
        # Other files may have been stored in the meantime, and the Content-Length is optional.
        _check_quota(objects, owner, path, writer.size)
        objects.put(file_key(owner, path), scratch)
    return {"path": path, "bytes": writer.size, "hash": writer.hash}


def _receive_body(body: UploadStream, target: Path) -> HashingWriter:
    """Return the closed writer, with size and hash. No lock or connection is held while a slow client sends."""
    writer = HashingWriter(target)
    try:
        while chunk := body.read(CHUNK_BYTES):
            with translate_storage_errors():
                writer.write(chunk)
    finally:
        writer.close()
    return writer


def _check_quota(objects: ObjectStore, owner: str, path: str, size: int) -> None:
    max_bytes = route_context().settings.owner_bytes
    if size > remaining_bytes(objects, owner, path, max_bytes):
        raise Problem(
            f"the files of an owner must not exceed {max_bytes} bytes in total: delete some first", status=413
        )


@bp.delete("/files/<path:path>")
@endpoint(
    "Delete an uploaded file; outputs that were created from it are kept",
    {
        204: ResponseSpec("The file was deleted, or did not exist"),
        400: INVALID,
        401: NO_TOKEN,
        403: NO_TOKEN,
        503: UNAVAILABLE,
    },
    path=FilePath,
    query=TokenQuery,
    headers=TokenHeader,
    tag="files",
    security=TOKEN,
    description="Repeating the request returns 204 too.",
)
def delete_file(owner: str, path: str, query: TokenQuery, headers: TokenHeader) -> Response:
    require_owner(owner, headers, query)
    create_object_store(route_context().settings).delete([file_key(owner, path)])
    return Response(status=204)


@bp.get("/<dataset>/<revision>/data/<file>")
@endpoint(
    "Download a file that a pipeline created; supports `Range` and `If-None-Match`",
    {
        200: ResponseSpec("The file", _BINARY, _TYPES, headers=("ETag",), example=examples.CSV),
        206: ResponseSpec(
            "The requested range", _BINARY, _TYPES, headers=("Content-Range", "ETag"), example="year\nMalbec"
        ),
        304: ResponseSpec("The file is unchanged", headers=("ETag",)),
        400: INVALID,
        404: NOT_FOUND,
        416: replace(problem("RangeNotSatisfiable", "The range is outside the file"), headers=("Content-Range",)),
        503: UNAVAILABLE,
    },
    path=ResultPath,
    query=TokenQuery,
    headers=DownloadHeaders,
    tag="files",
    security=OPTIONAL_TOKEN,
    description="`datapackage.json` describes all files of the revision, with paths relative to it. The file of a "
    "revision with a number never changes; `latest` and `successful` may refer to another one later. `Content-Type` is "
    "that of the file, such as `text/csv`.",
)
def download_output(
    owner: str, dataset: str, revision: str, file: str, query: TokenQuery, headers: DownloadHeaders
) -> Response:
    is_owner = is_owner_token(owner, headers, query)
    with transaction() as tx:
        flow = flows.find_flow(tx, owner, dataset, revision, is_owner=is_owner)
        result = jobs.find_result(tx, flow["id"], file) if flow else None
    if result is None:
        raise not_found()
    tag = result.hash.rpartition(":")[2]
    if request.if_none_match.contains_weak(tag):
        return _with_headers(Response(status=304), result, tag)
    requested = _requested_range(tag)
    if requested is None:
        return _file_response(result, tag, 0, result.bytes, 200)
    bounds = requested.range_for_length(result.bytes)
    if bounds is None:
        response = this_app().render(Problem(f"Range must lie within the {result.bytes} bytes of the file", status=416))
        response.headers["Content-Range"] = f"bytes */{result.bytes}"
        return response
    return _file_response(result, tag, *bounds, 206)


def _requested_range(tag: str) -> Range | None:
    """Return None for the complete file, also if If-Range names another version or several ranges are requested."""
    requested = request.range
    if requested is None or requested.units != "bytes" or len(requested.ranges) != 1:
        return None
    condition = request.headers.get("If-Range")
    return requested if condition is None or condition == f'"{tag}"' else None


def _file_response(result: Result, tag: str, start: int, stop: int, status: int) -> Response:
    chunks = None
    if request.method != "HEAD":
        chunks = create_object_store(route_context().settings).read_range(result.object, start, stop - start)
    response = Response(chunks, status, direct_passthrough=True)
    response.content_length = stop - start
    if status == 206:
        response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{result.bytes}"
    return _with_headers(response, result, tag)


def _with_headers(response: Response, result: Result, tag: str) -> Response:
    """Add the headers. Clients must revalidate a cached file, since `latest` may refer to another one later."""
    response.headers.update(
        {
            "Content-Type": result.content_type,
            "ETag": f'"{tag}"',
            "Accept-Ranges": "bytes",
            "Cache-Control": "private, no-cache",
            "X-Content-Type-Options": "nosniff",
        }
    )
    if result.content_type == files.BYTES_TYPE:
        response.headers["Content-Disposition"] = f'attachment; filename="{result.path}"'
    return response
