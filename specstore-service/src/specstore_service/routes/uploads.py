"""Specs: uploaded as a new revision, or planned only."""

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from flask import Blueprint, Response, g, request
from pydantic import Field, GetJsonSchemaHandler
from typing_extensions import TypedDict

from chassis import strictjson
from chassis.db import Transaction
from chassis.errors import Invalid, Problem
from chassis.web.app import transaction
from chassis.web.endpoints import JSON, ResponseSpec, problem
from chassis.web.idempotency import run_idempotent
from chassis.web.validation import endpoint
from specstore_service.domain.plans import plan
from specstore_service.domain.specs import EXAMPLE_SPEC, Spec
from specstore_service.domain.tokens import token_problem
from specstore_service.operations import uploads
from specstore_service.operations.uploads import Revision
from specstore_service.routes import examples
from specstore_service.routes.responses import (
    INVALID,
    OPTIONAL_TOKEN,
    TOKEN,
    UNAVAILABLE,
    UPLOAD_FAILED,
    TokenHeader,
    TokenQuery,
    UploadResult,
    bearer,
    is_owner_token,
    route_context,
    with_error_body,
)
from specstore_service.store import datasets

bp = Blueprint("uploads", __name__, url_prefix="/source")

EMPTY_CONTENTS = "Received empty contents (make sure your content-type is correct)"


class PlannedPipeline(TypedDict):
    id: str
    title: str
    kind: str
    needs: Annotated[list[str], Field(description="IDs of the pipelines that must succeed first")]


class Plan(TypedDict):
    flow_id: str
    pipelines: list[PlannedPipeline]


class _SpecSchema:
    """Documents a body as a spec."""

    def __get_pydantic_json_schema__(self, _schema: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return handler(Spec.__pydantic_core_schema__)


# The route validates the contents itself: authorization comes before validation.
Contents = Annotated[Any, _SpecSchema()]


def upload_error(problem: Problem) -> UploadResult:
    errors = [f"Validation failed for contents: {field}: {message}" for field, message in problem.errors]
    return {"success": False, "dataset_id": None, "flow_id": None, "errors": errors or [problem.detail]}


def _reject_empty_contents(view: Callable[..., Response]) -> Callable[..., Response]:
    """Decorate a view to reject empty contents with the error of the contract, before `endpoint` parses the body."""

    @functools.wraps(view)
    def checked(**path: Any) -> Response:
        if request.mimetype != JSON or not request.get_data():
            raise Invalid(EMPTY_CONTENTS)
        return view(**path)

    return checked


@bp.post("/upload")
@with_error_body(upload_error)
@_reject_empty_contents
@endpoint(
    "Upload a spec as the next revision of its dataset",
    {200: ResponseSpec("The revision is queued", UploadResult, example=examples.UPLOADED), **UPLOAD_FAILED},
    query=TokenQuery,
    headers=TokenHeader,
    body=Contents,
    idempotent=True,
    tag="specs",
    security=TOKEN,
    example=EXAMPLE_SPEC,
    description="The token must belong to the owner that the spec names. Revisions count 1, 2, 3 … per dataset, "
    "and a failed upload creates none. The pipelines run in the background; follow them with the "
    "status of the revision. Send an `Idempotency-Key`, so that a repeat creates no second revision.",
)
def upload_spec(query: TokenQuery, headers: TokenHeader, body: Any) -> Response:
    ownerid = _ownerid(body)
    token_bearer = bearer(headers, query)
    if token_bearer.userid != ownerid:
        raise token_problem(403)
    spec = uploads.parse_spec(body)
    revision = Revision(spec, strictjson.dumps(body), g.request_id, route_context().settings.dpp_url is not None)

    def create(tx: Transaction) -> UploadResult:
        flow_id = uploads.upload_spec(tx, revision, token_bearer.max_datasets, datetime.now(UTC))
        return upload_result(flow_id)

    return run_idempotent(create)


def _ownerid(body: Any) -> Any:
    if not body:
        raise Invalid(EMPTY_CONTENTS)
    meta = body.get("meta") if isinstance(body, dict) else None
    if not isinstance(meta, dict) or not meta.get("ownerid") or not meta.get("owner"):
        raise Invalid("Missing owner in spec")
    return meta["ownerid"]


def upload_result(flow_id: str) -> UploadResult:
    return {"success": True, "dataset_id": flow_id.rpartition("/")[0], "flow_id": flow_id, "errors": []}


@bp.post("/plan")
@endpoint(
    "Plan the pipelines of a spec without creating anything",
    {
        200: ResponseSpec("The pipelines, in an order in which they can run", Plan, example=examples.PLAN),
        400: INVALID,
        413: problem("SpecTooLarge", "The spec is too large"),
        415: problem("UnsupportedMediaType", "`Content-Type` must be `application/json`"),
        503: UNAVAILABLE,
    },
    query=TokenQuery,
    headers=TokenHeader,
    body=Contents,
    tag="specs",
    security=OPTIONAL_TOKEN,
    example=EXAMPLE_SPEC,
    description="The revision is the one that an upload would create now. The response does not reveal the "
    "revisions of a private dataset to others than its owner.",
)
def plan_spec(query: TokenQuery, headers: TokenHeader, body: Any) -> Plan:
    spec = uploads.parse_spec(body)
    flow_id = f"{spec.dataset_id}/{_next_revision(spec, headers, query)}"
    entries = plan(spec, flow_id)
    ids = [entry.id for entry in entries]
    return {
        "flow_id": flow_id,
        "pipelines": [
            {
                "id": entry.id,
                "title": entry.title,
                "kind": entry.kind,
                "needs": [ids[position] for position in entry.needs],
            }
            for entry in entries
        ],
    }


def _next_revision(spec: Spec, headers: TokenHeader, query: TokenQuery) -> int:
    """Return the revision that an upload would create now, without revealing a private dataset to other callers."""
    with transaction() as tx:
        dataset = datasets.find_dataset(tx, spec.meta.ownerid, spec.meta.dataset)
    if dataset is None or (
        dataset["findability"] == "private" and not is_owner_token(spec.meta.ownerid, headers, query)
    ):
        return 1
    return int(dataset["revisions"]) + 1
