"""Lists: the datasets of an owner, the revisions of a dataset, the pipelines for an external runner."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from flask import Blueprint
from flask.typing import ResponseReturnValue
from pydantic import Field
from typing_extensions import TypedDict
from werkzeug.exceptions import MethodNotAllowed

from chassis import strictjson
from chassis.web.app import transaction
from chassis.web.endpoints import ResponseSpec, problem
from chassis.web.validation import DIGITS, ListQuery, endpoint
from specstore_service.domain.names import NAME_PATTERN, POST_PATHS
from specstore_service.routes import examples
from specstore_service.routes.responses import (
    INVALID,
    NOT_FOUND,
    OPTIONAL_TOKEN,
    UNAVAILABLE,
    DatasetPath,
    OwnerPath,
    State,
    Time,
    TokenHeader,
    TokenListQuery,
    TokenQuery,
    is_owner_token,
    is_runner,
    not_found,
    token_userid,
)
from specstore_service.store import datasets, flows, pipelines

bp = Blueprint("listing", __name__, url_prefix="/source")


class DatasetState(TypedDict):
    id: str
    dataset: str
    findability: Literal["published", "unlisted", "private"]
    revision: Annotated[int, Field(description="The newest revision")]
    state: Annotated[State, Field(description="The state of the newest revision")]
    every_seconds: Annotated[int | None, Field(description="The interval of the schedule; null without one")]
    due_at: Annotated[Time | None, Field(description="When the schedule creates the next revision")]
    modified: Time


class Datasets(TypedDict):
    datasets: list[DatasetState]
    total: int


class RevisionState(TypedDict):
    id: str
    revision: int
    state: State
    created: Time
    modified: Time


class Revisions(TypedDict):
    revisions: list[RevisionState]
    total: int


class UnfinishedPipeline(TypedDict):
    id: str
    title: str
    kind: str
    target: Annotated[str, Field(description="The resource or output that the pipeline creates")]
    flow_id: str
    status: State
    needs: Annotated[list[str], Field(description="IDs of the pipelines that must succeed first")]
    spec: dict[str, Any]


class UnfinishedPipelines(TypedDict):
    pipelines: list[UnfinishedPipeline]
    total: int


@bp.get("/pipelines")
@endpoint(
    "List the pipelines of all unfinished flows, for an external runner",
    {
        200: ResponseSpec("A page of the list", UnfinishedPipelines, example=examples.PIPELINES),
        400: INVALID,
        404: NOT_FOUND,
        503: UNAVAILABLE,
    },
    query=ListQuery,
    tag="pipelines",
    description="For runners and admins; for others the list does not exist (404). Run a pipeline when all that "
    "it needs have succeeded.",
)
def list_pipelines(query: ListQuery) -> ResponseReturnValue:
    if not is_runner():
        raise not_found()
    with transaction() as tx:
        rows = pipelines.list_unfinished(tx, query.limit, query.offset)
        total = pipelines.count_unfinished(tx)
    return {"pipelines": [{**row, "spec": strictjson.loads(row["spec"].encode())} for row in rows], "total": total}


class AllDatasetsQuery(TokenQuery):
    limit: Annotated[int, Field(ge=1, le=1000, description="Maximum number of results"), DIGITS] = 100
    after: Annotated[
        str | None, Field(pattern=f"{NAME_PATTERN[:-1]}/{NAME_PATTERN[1:]}", description="The last ID of a page")
    ] = None


@bp.get("")
@endpoint(
    "List the datasets of all owners by ID; unlisted and private ones only with the owner's token",
    {
        200: ResponseSpec("The datasets that follow `after`", Datasets, example=examples.DATASETS),
        400: INVALID,
        503: UNAVAILABLE,
    },
    query=AllDatasetsQuery,
    headers=TokenHeader,
    tag="datasets",
    security=OPTIONAL_TOKEN,
    description="Pass the last ID of a page as `after` to read the next one. `total` counts the datasets that the "
    "caller may see.",
)
def list_datasets(query: AllDatasetsQuery, headers: TokenHeader) -> ResponseReturnValue:
    user = token_userid(headers, query)
    after_owner, _, after_name = (query.after or "").partition("/")
    with transaction() as tx:
        rows = datasets.list_all_datasets(tx, user, limit=query.limit, after_owner=after_owner, after_name=after_name)
        total = datasets.count_all_datasets(tx, user)
    return {"datasets": [_dataset(row) for row in rows], "total": total}


@bp.get("/<owner>")
@endpoint(
    "List the datasets of an owner; unlisted and private ones only with the owner's token",
    {
        200: ResponseSpec("A page of the list", Datasets, example=examples.DATASETS),
        400: INVALID,
        404: NOT_FOUND,
        405: problem("ReservedName", "The name is reserved for an endpoint that only supports POST"),
        503: UNAVAILABLE,
    },
    path=OwnerPath,
    query=TokenListQuery,
    headers=TokenHeader,
    tag="datasets",
    security=OPTIONAL_TOKEN,
    description="An owner without datasets that the caller may see is unknown (404).",
)
def list_datasets_of_owner(owner: str, query: TokenListQuery, headers: TokenHeader) -> ResponseReturnValue:
    if owner in POST_PATHS:
        raise MethodNotAllowed(["POST"])
    is_owner = is_owner_token(owner, headers, query)
    with transaction() as tx:
        rows = datasets.list_datasets(tx, owner, is_owner=is_owner, limit=query.limit, offset=query.offset)
        total = datasets.count_datasets(tx, owner, is_owner=is_owner)
    if not total:
        raise not_found()
    return {"datasets": [_dataset(row) for row in rows], "total": total}


def _dataset(row: dict[str, Any]) -> dict[str, Any]:
    due_at = row.pop("due_at")
    return {**_with_formatted_times(row), "due_at": due_at and format_time(due_at)}


@bp.get("/<owner>/<dataset>")
@endpoint(
    "List the revisions of a dataset, newest first",
    {
        200: ResponseSpec("A page of the list", Revisions, example=examples.REVISIONS),
        400: INVALID,
        404: NOT_FOUND,
        503: UNAVAILABLE,
    },
    path=DatasetPath,
    query=TokenListQuery,
    headers=TokenHeader,
    tag="datasets",
    security=OPTIONAL_TOKEN,
    description="A private dataset is unknown (404) without the token of its owner.",
)
def list_revisions(owner: str, dataset: str, query: TokenListQuery, headers: TokenHeader) -> ResponseReturnValue:
    is_owner = is_owner_token(owner, headers, query)
    with transaction() as tx:
        rows = flows.list_flows(tx, owner, dataset, is_owner=is_owner, limit=query.limit, offset=query.offset)
        total = flows.count_flows(tx, owner, dataset, is_owner=is_owner)
    if not total:
        raise not_found()
    return {"revisions": [_with_formatted_times(row) for row in rows], "total": total}


def _with_formatted_times(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name.removesuffix("_at"): format_time(value) if name.endswith("ed_at") else value for name, value in row.items()
    }


def format_time(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
