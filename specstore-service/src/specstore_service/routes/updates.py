"""Updates of pipelines, sent by a runner."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from flask import Blueprint, g
from pydantic import BaseModel, Field, StringConstraints, model_validator
from typing_extensions import TypedDict

from chassis.errors import Problem
from chassis.web.app import transaction
from chassis.web.endpoints import ResponseSpec
from chassis.web.validation import endpoint
from specstore_service.domain.names import owner_of
from specstore_service.operations import updates
from specstore_service.operations.updates import Trigger, Update, UpdatedFlow
from specstore_service.routes import examples
from specstore_service.routes.responses import (
    OPTIONAL_TOKEN,
    TokenHeader,
    TokenQuery,
    bearer,
    is_runner,
    with_error_body,
)

bp = Blueprint("updates", __name__, url_prefix="/source")

PipelineId = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Lines = Annotated[list[str], Field(max_length=100_000)]
_SUCCESS = {"QUEUED": "pending", "INPROGRESS": "pending", "SUCCEEDED": "success", "FAILED": "fail"}
_STATUS = {"QUEUED": "pending", "INPROGRESS": "running", "SUCCEEDED": "success", "FAILED": "failed"}


class PipelineUpdateRequest(BaseModel):
    """An update of a pipeline. Unknown properties are ignored."""

    pipeline: Annotated[PipelineId | None, Field(description="ID of the pipeline")] = None
    pipeline_id: Annotated[PipelineId | None, Field(description="Another name of `pipeline`")] = None
    event: Literal["queue", "start", "progress", "finish"]
    success: Annotated[bool | None, Field(description="Required if the event is `finish`")] = None
    errors: Annotated[Lines | None, Field(description="Why the pipeline failed")] = None
    log: Annotated[Lines | str | None, Field(description="The complete log so far")] = None
    stats: Annotated[
        dict[str, Any] | None, Field(description="`bytes`, `count_of_rows`, `hash` and `path` of the file")
    ] = None

    @model_validator(mode="after")
    def _check_combination(self) -> Self:
        if not (self.pipeline or self.pipeline_id):
            raise ValueError("pipeline is required")
        if self.pipeline and self.pipeline_id and self.pipeline != self.pipeline_id:
            raise ValueError("pipeline and pipeline_id must be equal")
        if self.event == "finish" and self.success is None:
            raise ValueError("success is required when event is finish")
        return self

    def as_update(self) -> Update:
        log = self.log.splitlines() if isinstance(self.log, str) else self.log
        name = (self.pipeline or self.pipeline_id or "").removeprefix("./")
        return Update(name, self.event, bool(self.success), self.errors or [], log or [], self.stats or {})


class UpdateResult(TypedDict):
    success: Annotated[str, Field(json_schema_extra={"enum": ["pending", "success", "fail"]})]
    status: Annotated[str, Field(json_schema_extra={"enum": ["pending", "running", "success", "failed"]})]
    id: Annotated[str | None, Field(description="ID of the flow; null after a failure")]
    errors: Annotated[list[str], Field(description="The reasons of a failure")]


def _error_body(problem: Problem) -> UpdateResult:
    return {"success": "fail", "status": "failed", "id": None, "errors": [problem.detail]}


_FAILED = ResponseSpec("The update failed; `errors` lists the reasons", UpdateResult, name="UpdateFailed")


@bp.post("/update")
@with_error_body(_error_body)
@endpoint(
    "Report that a pipeline was queued, has begun, has made progress or has ended",
    {
        200: ResponseSpec("The state of the flow", UpdateResult, example=examples.UPDATED),
        **dict.fromkeys((400, 401, 404, 413, 415, 503), _FAILED),
    },
    query=TokenQuery,
    headers=TokenHeader,
    body=PipelineUpdateRequest,
    tag="pipelines",
    security=OPTIONAL_TOKEN,
    example=examples.PIPELINE_UPDATE,
    description="For runners and admins, and for owners with their token; for others the pipeline is unknown. "
    "Pipelines only move forward: a late or repeated update changes nothing and receives the same "
    "kind of response.",
)
def update_pipeline(query: TokenQuery, headers: TokenHeader, body: PipelineUpdateRequest) -> UpdateResult:
    pipeline_update = body.as_update()
    if not _may_update(pipeline_update.pipeline, headers, query):
        raise updates.unknown_pipeline()
    with transaction() as tx:
        flow = updates.apply(tx, pipeline_update, datetime.now(UTC), Trigger(g.request_id))
    return _update_result(flow)


def _may_update(pipeline: str, headers: TokenHeader, query: TokenQuery) -> bool:
    """Return whether the caller is a runner or the flow's owner, without checking whether the pipeline exists.

    Raise Problem (401) if the token is invalid.
    """
    if is_runner():
        return True
    return bool(headers.token or query.jwt) and bearer(headers, query).userid == owner_of(pipeline)


def _update_result(flow: UpdatedFlow) -> UpdateResult:
    return {
        "success": _SUCCESS[flow.state],
        "status": _STATUS[flow.state],
        "id": flow.flow_id,
        "errors": flow.errors,
    }
