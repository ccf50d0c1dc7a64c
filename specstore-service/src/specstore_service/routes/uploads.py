"""A spec comes in: to be kept and run, or to be planned only."""

import functools
from datetime import UTC, datetime
from typing import Annotated, Any

from flask import Blueprint, g, request
from pydantic import GetJsonSchemaHandler
from typing_extensions import TypedDict

from chassis import strictjson
from chassis.db import Transaction
from chassis.errors import Invalid, Problem
from chassis.web.app import transaction
from chassis.web.idempotency import run_idempotent
from chassis.web.openapi import problem
from chassis.web.validation import JSON, ResponseSpec, endpoint
from specstore_service.domain.plans import plan
from specstore_service.domain.specs import Spec
from specstore_service.domain.tokens import token_problem
from specstore_service.operations import uploads
from specstore_service.operations.uploads import Revision
from specstore_service.routes.responses import (
    INVALID,
    UNAVAILABLE,
    UPLOAD_FAILED,
    TokenHeader,
    TokenQuery,
    Uploaded,
    bearer,
    is_owner,
    web,
    with_error_body,
)
from specstore_service.store import datasets

bp = Blueprint("uploads", __name__, url_prefix="/source")

EMPTY = "Received empty contents (make sure your content-type is correct)"


class PlannedPipeline(TypedDict):
    id: str
    title: str
    kind: str
    needs: list[str]


class Plan(TypedDict):
    flow_id: str
    pipelines: list[PlannedPipeline]


class _LikeSpec:
    def __get_pydantic_json_schema__(self, _schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(Spec.__pydantic_core_schema__)


# Whose it is comes before what is wrong with it, so the route looks into it itself.
Contents = Annotated[Any, _LikeSpec()]


def upload_error(problem: Problem) -> Uploaded:
    errors = [f"Validation failed for contents: {field}: {message}" for field, message in problem.errors]
    return {"success": False, "dataset_id": None, "flow_id": None, "errors": errors or [problem.detail]}


def _reject_empty_contents(view: Any) -> Any:
    """Before `endpoint` looks at the body, since it has other words for this."""

    @functools.wraps(view)
    def checked(**path: Any) -> Any:
        if request.mimetype != JSON or not request.get_data():
            raise Invalid(EMPTY)
        return view(**path)

    return checked


@bp.post("/upload")
@with_error_body(upload_error)
@_reject_empty_contents
@endpoint(
    "A spec becomes the next revision of its dataset",
    {200: ResponseSpec("It is queued", Uploaded), **UPLOAD_FAILED},
    query=TokenQuery,
    headers=TokenHeader,
    body=Contents,
    idempotent=True,
)
def upload(query: TokenQuery, headers: TokenHeader, body: Any) -> Any:
    ownerid = _ownerid(body)
    who = bearer(headers, query)
    if who.userid != ownerid:
        raise token_problem(403)
    spec = uploads.parse_spec(body)
    wanted = Revision(spec, strictjson.dumps(body), g.request_id, web().settings.dpp_url is not None)

    def make(tx: Transaction) -> Any:
        flow_id = uploads.upload_spec(tx, wanted, who.max_datasets, datetime.now(UTC))
        return uploaded(flow_id)

    return run_idempotent(make)


def _ownerid(body: Any) -> Any:
    if not body:
        raise Invalid(EMPTY)
    meta = body.get("meta") if isinstance(body, dict) else None
    if not isinstance(meta, dict) or not meta.get("ownerid") or not meta.get("owner"):
        raise Invalid("Missing owner in spec")
    return meta["ownerid"]


def uploaded(flow_id: str) -> Uploaded:
    return {"success": True, "dataset_id": flow_id.rpartition("/")[0], "flow_id": flow_id, "errors": []}


@bp.post("/plan")
@endpoint(
    "The pipelines of a spec, without making anything",
    {
        200: ResponseSpec("In an order in which they can run", Plan),
        400: INVALID,
        413: problem("More than a spec may have"),
        415: problem("The body is no JSON"),
        503: UNAVAILABLE,
    },
    query=TokenQuery,
    headers=TokenHeader,
    body=Contents,
)
def show_plan(query: TokenQuery, headers: TokenHeader, body: Any) -> Any:
    spec = uploads.parse_spec(body)
    flow_id = f"{spec.dataset_id}/{_next_revision(spec, headers, query)}"
    planned = plan(spec, flow_id)
    ids = [pipeline.id for pipeline in planned]
    return {
        "flow_id": flow_id,
        "pipelines": [
            {"id": it.id, "title": it.title, "kind": it.kind, "needs": [ids[place] for place in it.needs]}
            for it in planned
        ],
    }


def _next_revision(spec: Spec, headers: TokenHeader, query: TokenQuery) -> int:
    """As an upload at this moment would get; what is private counts for its owner only."""
    with transaction() as tx:
        known = datasets.find_dataset(tx, spec.meta.ownerid, spec.meta.dataset)
    if known is None or (known["findability"] == "private" and not is_owner(spec.meta.ownerid, headers, query)):
        return 1
    return int(known["revisions"]) + 1
