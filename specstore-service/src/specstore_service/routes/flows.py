"""A revision: its status, and the actions of its owner."""

import json
from datetime import UTC, datetime
from typing import Annotated, Any

from flask import Blueprint, Response, g
from pydantic import Field
from typing_extensions import TypedDict

from chassis import strictjson
from chassis.db import Transaction
from chassis.web.app import json_response, this_app, transaction
from chassis.web.endpoints import ResponseSpec
from chassis.web.idempotency import run_idempotent
from chassis.web.validation import endpoint
from specstore_service.domain import flows as rules
from specstore_service.domain.flows import Pipeline
from specstore_service.operations import updates, uploads
from specstore_service.operations.updates import Trigger
from specstore_service.operations.uploads import Revision
from specstore_service.routes import examples
from specstore_service.routes.listing import format_time
from specstore_service.routes.responses import (
    INVALID,
    NO_TOKEN,
    NOT_FOUND,
    OPTIONAL_TOKEN,
    TOKEN,
    UNAVAILABLE,
    UPLOAD_FAILED,
    RevisionPath,
    State,
    Time,
    TokenHeader,
    TokenQuery,
    UploadResult,
    is_owner_token,
    not_found,
    require_owner,
    route_context,
    with_error_body,
)
from specstore_service.routes.uploads import upload_error, upload_result
from specstore_service.store import flows

bp = Blueprint("flows", __name__, url_prefix="/source/<owner>/<dataset>/<revision>")


_STATS = "`bytes`, `count_of_rows`, `hash` and `path` of the file"


class PipelineStatus(TypedDict):
    title: str
    kind: str
    needs: Annotated[list[str], Field(description="IDs of the pipelines that must succeed first")]
    status: State
    started: Time | None
    finished: Time | None
    stats: Annotated[dict[str, Any], Field(description=f"{_STATS}; empty before it is written")]
    log: list[str]
    error_log: list[str]


class FlowStatus(TypedDict):
    id: Annotated[str, Field(description="`<owner>/<dataset>/<revision>`")]
    event_ref: Annotated[
        str | None, Field(description="Reference used in the events of a private revision; otherwise null")
    ]
    spec_contents: Annotated[dict[str, Any], Field(description="The spec as it was uploaded")]
    modified: Time
    state: State
    logs: Annotated[list[str], Field(description="The logs of all pipelines")]
    error_log: Annotated[
        list[str], Field(description="The errors that pipelines reported, then those of their dependents")
    ]
    stats: Annotated[dict[str, Any], Field(description=f"{_STATS}, of the package; null before it is created")]
    pipelines: Annotated[dict[str, PipelineStatus], Field(description="By ID")]


class CancelResult(TypedDict):
    id: str
    state: State
    cancelled: Annotated[int, Field(description="Number of pipelines that were cancelled")]


@bp.get("")
@endpoint(
    "Get the status of a revision: by number, the latest, or the latest successful one",
    {
        200: ResponseSpec("The status of the revision and its pipelines", FlowStatus, example=examples.FLOW),
        400: INVALID,
        404: NOT_FOUND,
        503: UNAVAILABLE,
    },
    path=RevisionPath,
    query=TokenQuery,
    headers=TokenHeader,
    tag="flows",
    security=OPTIONAL_TOKEN,
    description="A flow has ended when its state is SUCCEEDED or FAILED. Errors name the row, the field and the "
    "reason, and dependents that were not run name the pipeline that failed. A private dataset is "
    "unknown (404) without the token of its owner.",
)
def get_flow(owner: str, dataset: str, revision: str, query: TokenQuery, headers: TokenHeader) -> Response:
    is_owner = is_owner_token(owner, headers, query)
    with this_app().database.statements() as tx:
        flow = flows.find_flow(tx, owner, dataset, revision, is_owner=is_owner, with_pipelines=True)
    if flow is None:
        raise not_found()
    return json_response(_status(flow))


def _status(flow: dict[str, Any]) -> str:
    """Return the status as JSON. The stored spec is inserted verbatim, without being parsed."""
    # Here, reports are nested more deeply than in the requests, whose depth is limited.
    rows = json.loads(flow["pipelines"])
    pipelines = [Pipeline.from_row(row) for row in rows]
    no_stats = {"bytes": None, "count_of_rows": None, "dataset_name": flow["dataset"], "hash": None}
    status = {
        "id": flow["name"],
        "event_ref": flow["event_ref"] if flow["is_private"] else None,
        "modified": format_time(flow["modified_at"]),
        "state": flow["state"],
        "logs": [line for row in rows for line in row["log"]],
        "error_log": rules.error_log(pipelines, {row["position"]: row["errors"] for row in rows}),
        # The last pipeline creates the package.
        "stats": {**no_stats, **rows[-1]["stats"]},
        "pipelines": {
            row["id"]: {
                "title": row["title"],
                "kind": row["kind"],
                "needs": [rows[position]["id"] for position in row["needs"]],
                "status": row["state"],
                "started": _format_json_time(row["started_at"]),
                "finished": _format_json_time(row["finished_at"]),
                "stats": row["stats"],
                "log": row["log"],
                "error_log": row["errors"] + rules.dependency_errors(pipelines, pipeline),
            }
            for row, pipeline in zip(rows, pipelines, strict=True)
        },
    }
    return f'{{"spec_contents":{flow["spec"]},{strictjson.dumps(status)[1:]}'


def _format_json_time(time: str | None) -> str | None:
    """Return a time that Postgres has written as JSON in the format of all others."""
    return time and format_time(datetime.fromisoformat(time))


@bp.post("/cancel")
@endpoint(
    "Cancel the unfinished pipelines of a revision",
    {
        200: ResponseSpec("The state of the revision afterwards", CancelResult, example=examples.CANCELLED),
        400: INVALID,
        401: NO_TOKEN,
        403: NO_TOKEN,
        404: NOT_FOUND,
        503: UNAVAILABLE,
    },
    path=RevisionPath,
    query=TokenQuery,
    headers=TokenHeader,
    tag="flows",
    security=TOKEN,
    description="They become FAILED; pipelines that have ended, and their files, do not change. Cancelling a flow "
    "that has ended changes nothing.",
)
def cancel_flow(owner: str, dataset: str, revision: str, query: TokenQuery, headers: TokenHeader) -> CancelResult:
    require_owner(owner, headers, query)
    with transaction() as tx:
        flow = flows.find_flow(tx, owner, dataset, revision, is_owner=True)
        if flow is None:
            raise not_found()
        state, cancelled = updates.cancel(tx, flow["id"], datetime.now(UTC), Trigger(g.request_id))
    return {"id": flow["name"], "state": state, "cancelled": cancelled}


@bp.post("/retry")
@with_error_body(upload_error)
@endpoint(
    "Create a new revision of the same spec",
    {
        200: ResponseSpec("The revision is queued", UploadResult, example=examples.RETRIED),
        **UPLOAD_FAILED,
        404: ResponseSpec("The revision does not exist", UploadResult, name="RevisionNotFound"),
    },
    path=RevisionPath,
    query=TokenQuery,
    headers=TokenHeader,
    idempotent=True,
    tag="flows",
    security=TOKEN,
    description="The new revision runs all pipelines. Send an `Idempotency-Key`, so that a repeat creates no "
    "second revision.",
)
def retry_flow(owner: str, dataset: str, revision: str, query: TokenQuery, headers: TokenHeader) -> Response:
    require_owner(owner, headers, query)

    def create(tx: Transaction) -> UploadResult:
        flow = flows.find_flow(tx, owner, dataset, revision, is_owner=True)
        if flow is None:
            raise not_found()
        spec = uploads.parse_spec(strictjson.loads(flow["spec"].encode()))
        new_revision = Revision(spec, flow["spec"], g.request_id, route_context().settings.dpp_url is not None)
        return upload_result(uploads.create_revision(tx, new_revision, datetime.now(UTC)))

    return run_idempotent(create)
