"""Files in and out: what owners upload to be a source, and what pipelines have made."""

from pathlib import Path
from typing import Annotated, Any

from flask import Blueprint, Response, request
from pydantic import AfterValidator, Field
from typing_extensions import TypedDict
from werkzeug.datastructures import Range

from chassis.errors import Invalid, Problem
from chassis.web.app import this_app, transaction
from chassis.web.openapi import problem
from chassis.web.uploads import UploadStream
from chassis.web.validation import ResponseSpec, endpoint
from specstore_service.domain import files
from specstore_service.domain.names import check_location, is_url
from specstore_service.operations.pipeline_context import HashingWriter
from specstore_service.routes.responses import (
    INVALID,
    NO_TOKEN,
    NOT_FOUND,
    UNAVAILABLE,
    OwnerPath,
    RevisionPath,
    TokenHeader,
    TokenQuery,
    is_owner,
    not_found,
    require_owner,
    web,
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


class Kept(TypedDict):
    path: str
    bytes: int
    hash: str


def _relative(value: str) -> str:
    if is_url(value):
        raise ValueError("must not begin like a URL")
    return check_location(value)


class FilePath(OwnerPath):
    path: Annotated[str, Field(max_length=1024), AfterValidator(_relative)]


class ResultPath(RevisionPath):
    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,160}$")]


@bp.put("/files/<path:path>")
@endpoint(
    "Keeps the body, bytes of any type, as a file that the owner's specs can name as a source",
    {
        200: ResponseSpec("It is kept, in place of an older one of that name", Kept),
        400: INVALID,
        401: NO_TOKEN,
        403: NO_TOKEN,
        408: problem("The upload is too slow or takes too long"),
        413: problem("Larger than a file may be, or than what is left of what the owner may keep"),
        415: problem("The body has a Content-Encoding"),
        503: UNAVAILABLE,
    },
    path=FilePath,
    query=TokenQuery,
    headers=TokenHeader,
)
def put_file(owner: str, path: str, query: TokenQuery, headers: TokenHeader) -> Any:
    """It appears in one step, once all of it has come; pipelines that read the older one go on reading that."""
    require_owner(owner, headers, query)
    if "Content-Range" in request.headers:
        raise Invalid.field("Content-Range", "a file is sent as a whole")
    body = UploadStream(request, web().settings.source_bytes)
    objects = create_object_store(web().settings)
    _check_quota(objects, owner, path, request.content_length or 0)
    with scratch_file(objects) as scratch:
        sink = _receive_body(body, scratch)
        # Others may have come meanwhile, and not everybody says before how much he sends.
        _check_quota(objects, owner, path, sink.size)
        objects.put(file_key(owner, path), scratch)
    return {"path": path, "bytes": sink.size, "hash": sink.hash}


def _receive_body(body: UploadStream, target: Path) -> HashingWriter:
    """Return the sink, closed, with the size and the hash; while a slow client sends, nothing else is held."""
    sink = HashingWriter(target)
    try:
        while piece := body.read(CHUNK_BYTES):
            with translate_storage_errors():
                sink.write(piece)
    finally:
        sink.close()
    return sink


def _check_quota(objects: ObjectStore, owner: str, path: str, size: int) -> None:
    most = web().settings.owner_bytes
    if size > remaining_bytes(objects, owner, path, most):
        raise Problem(f"an owner may keep {most} bytes of files: delete some of yours", status=413)


@bp.delete("/files/<path:path>")
@endpoint(
    "Removes a file; what was made of it stays",
    {204: ResponseSpec("It is not there, or no longer"), 400: INVALID, 401: NO_TOKEN, 403: NO_TOKEN, 503: UNAVAILABLE},
    path=FilePath,
    query=TokenQuery,
    headers=TokenHeader,
)
def delete_file(owner: str, path: str, query: TokenQuery, headers: TokenHeader) -> Any:
    require_owner(owner, headers, query)
    create_object_store(web().settings).delete([file_key(owner, path)])
    return Response(status=204)


@bp.get("/<dataset>/<revision>/data/<file>")
@endpoint(
    "A file that a pipeline has made; `Range` and `If-None-Match` are honoured",
    {
        200: ResponseSpec("The file", {"type": "string", "format": "binary"}, files.BYTES_TYPE),
        206: ResponseSpec("The part that was asked for", {"type": "string", "format": "binary"}, files.BYTES_TYPE),
        304: ResponseSpec("It is the one that is known already"),
        400: INVALID,
        404: NOT_FOUND,
        416: problem("The file has no such part"),
        503: UNAVAILABLE,
    },
    path=ResultPath,
    query=TokenQuery,
    headers=TokenHeader,
)
def get_result(owner: str, dataset: str, revision: str, file: str, query: TokenQuery, headers: TokenHeader) -> Any:
    as_owner = is_owner(owner, headers, query)
    with transaction() as tx:
        flow = flows.find_flow(tx, owner, dataset, revision, is_owner=as_owner)
        result = jobs.find_result(tx, flow["id"], file) if flow else None
    if result is None:
        raise not_found()
    tag = result.hash.rpartition(":")[2]
    if request.if_none_match.contains_weak(tag):
        return _with_headers(Response(status=304), result, tag)
    wanted = _asked_part(tag)
    if wanted is None:
        return _part(result, tag, 0, result.bytes, 200)
    part = wanted.range_for_length(result.bytes)
    if part is None:
        response = this_app().render(Problem("the file has no such part", status=416))
        response.headers["Content-Range"] = f"bytes */{result.bytes}"
        return response
    return _part(result, tag, *part, 206)


def _asked_part(tag: str) -> Range | None:
    """None for all of it: also where the part was to be of another version, and for several parts at once."""
    wanted = request.range
    if wanted is None or wanted.units != "bytes" or len(wanted.ranges) != 1:
        return None
    condition = request.headers.get("If-Range")
    return wanted if condition is None or condition == f'"{tag}"' else None


def _part(result: Result, tag: str, start: int, stop: int, status: int) -> Response:
    pieces = None
    if request.method != "HEAD":
        pieces = create_object_store(web().settings).read_range(result.object, start, stop - start)
    response = Response(pieces, status, direct_passthrough=True)
    response.content_length = stop - start
    if status == 206:
        response.headers["Content-Range"] = f"bytes {start}-{stop - 1}/{result.bytes}"
    return _with_headers(response, result, tag)


def _with_headers(response: Response, result: Result, tag: str) -> Response:
    """`latest` may be another file tomorrow, so it is asked for again; what is the same is not sent again."""
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
