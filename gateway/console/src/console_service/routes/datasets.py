"""Pages of the datasets: their revisions, the flow of a revision as a graph, its files, and the upload of specs."""

import csv
import io
import json
from typing import Any

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from chassis import strictjson
from chassis.errors import Conflict, Invalid, Problem
from chassis.web.app import role, username
from console_service.clients import call, send
from console_service.flows import describe_flow
from console_service.routes.pages import (
    WRITERS,
    field_errors,
    query_integer,
    read_parts,
    render_live_part,
    render_page,
    run_action,
)

bp = Blueprint("datasets", __name__, url_prefix="/console/datasets")

_SERVICE = "specstore-service"
_PAGE_SIZE, _REVISION_PAGE_SIZE = 50, 10
_PREVIEW_BYTES, _PREVIEW_ROWS = 64 * 1024, 20
_CHUNK_BYTES = 64 * 1024
_FILE_HEADERS = ("Content-Type", "Content-Length", "Content-Range", "Content-Disposition", "Accept-Ranges", "ETag")


@bp.get("")
def list_datasets() -> Response:
    return _render_list()


@bp.post("")
def upload_spec() -> BaseResponse:
    try:
        spec = _parse_spec(_uploaded_spec())
        result = call(_SERVICE, "POST", "source", "upload", body=spec, key=request.form["key"], headers=_token())
    except Problem as problem:
        return _render_list(problem)
    return _redirect_to_flow(result["flow_id"], "uploaded")


@bp.get("/<owner>/<dataset>")
def show_dataset(owner: str, dataset: str) -> Response:
    return _render_dataset(owner, dataset)


@bp.get("/<owner>/<dataset>/flow")
def show_flow(owner: str, dataset: str) -> Response:
    """Return the part of the page that is refreshed while the flow is running."""
    flow = _read_flow(owner, dataset, request.args.get("revision") or "latest", _token())
    page_url = url_for(
        "datasets.show_dataset",
        owner=owner,
        dataset=dataset,
        revision=flow["revision"],
        pipeline=request.args.get("pipeline"),
    )
    return render_live_part(
        "datasets/flow.html",
        page_url,
        has_ended=flow["has_ended"],
        owner=owner,
        dataset=dataset,
        flow=flow,
        selected=_selected_pipeline(flow),
    )


@bp.post("/<owner>/<dataset>")
def act_on_dataset(owner: str, dataset: str) -> BaseResponse:
    revision = request.form["revision"]
    actions = {
        "cancel": lambda: _cancel(owner, dataset, revision),
        "retry": lambda: _retry(owner, dataset, revision),
    }
    return run_action(actions, lambda problem, action: _render_dataset(owner, dataset, problem))


@bp.get("/<owner>/<dataset>/<revision>/data/<file>")
def download(owner: str, dataset: str, revision: str, file: str) -> BaseResponse:
    """Pass on a file of a private dataset: a link cannot send the token that it requires, and must not contain it."""
    headers = _token() | {name: request.headers[name] for name in ("Range", "If-Range") if name in request.headers}
    path = ("source", owner, dataset, revision, "data", file)
    source = send(_SERVICE, request.method, *path, headers=headers, stream=True)
    response = Response(source.iter_content(_CHUNK_BYTES), source.status_code)
    response.call_on_close(source.close)
    response.headers.update({name: source.headers[name] for name in _FILE_HEADERS if name in source.headers})
    response.headers.setdefault("Content-Disposition", "attachment")
    response.headers["Cache-Control"] = "no-store"
    return response


def _cancel(owner: str, dataset: str, revision: str) -> BaseResponse:
    result = call(_SERVICE, "POST", "source", owner, dataset, revision, "cancel", headers=_token())
    if not result["cancelled"]:
        raise Conflict("the flow has already ended")
    return _redirect_to_flow(result["id"], "cancelled")


def _retry(owner: str, dataset: str, revision: str) -> BaseResponse:
    key = request.form["key"]
    result = call(_SERVICE, "POST", "source", owner, dataset, revision, "retry", key=key, headers=_token())
    return _redirect_to_flow(result["flow_id"], "retried")


def _redirect_to_flow(flow_id: str, notice: str) -> BaseResponse:
    owner, dataset, revision = flow_id.split("/")
    return redirect(url_for("datasets.show_dataset", owner=owner, dataset=dataset, revision=revision, done=notice), 303)


def _token() -> dict[str, str]:
    """Return a header with the user's token; none for readers, who own nothing, or if another server issues tokens."""
    if role() not in WRITERS:
        return {}
    try:
        return {"Auth-Token": call(_SERVICE, "POST", "auth", "token")["token"]}
    except Problem as problem:
        if problem.status == 404:
            return {}
        raise


def _uploaded_spec() -> str:
    """Return the text of the chosen file or, without one, of the text field."""
    file = request.files.get("file")
    if not file:
        return request.form["spec"]
    try:
        return str(file.read(), "utf-8")
    except UnicodeDecodeError:
        raise Invalid.field("file", "must be a text file in UTF-8") from None


def _parse_spec(text: str) -> Any:
    try:
        return strictjson.loads(text.encode())
    except Invalid as error:
        raise Invalid.field("spec", error.errors[0][1]) from None


def _render_list(problem: Problem | None = None) -> Response:
    after = request.args.get("after", "")
    query = {"limit": _PAGE_SIZE} | ({"after": after} if after else {})
    page = call(_SERVICE, "GET", "source", query=query, headers=_token())
    return render_page(
        "datasets/list.html",
        problem.status if problem else 200,
        datasets=page["datasets"],
        total=page["total"],
        after=after,
        page_size=_PAGE_SIZE,
        example=json.dumps(_example_spec(), indent=2),
        form=request.form,
        errors=problem.errors or [("", problem.detail)] if problem else [],
    )


def _example_spec() -> dict[str, Any]:
    rows = [{"name": "Malbec", "year": 2020}, {"name": "Syrah", "year": 2021}]
    fields = [{"name": "name", "type": "string"}, {"name": "year", "type": "integer"}]
    descriptor = {"name": "wines", "resources": [{"name": "reds", "data": rows, "schema": {"fields": fields}}]}
    return {
        "meta": {
            "owner": username(), "ownerid": username(), "dataset": "wines", "version": 1, "findability": "published",
        },
        "inputs": [{"kind": "datapackage", "url": "datapackage.json", "parameters": {"descriptor": descriptor}}],
    }  # fmt: skip


def _render_dataset(owner: str, dataset: str, problem: Problem | None = None) -> Response:
    offset, token = query_integer("offset") or 0, _token()
    revision = request.form.get("revision") or request.args.get("revision") or "latest"
    revision_query = {"limit": _REVISION_PAGE_SIZE, "offset": offset}
    parts = read_parts(
        revisions=lambda: call(_SERVICE, "GET", "source", owner, dataset, query=revision_query, headers=token),
        flow=lambda: _read_flow(owner, dataset, revision, token),
    )
    if isinstance(parts["revisions"], Problem):
        raise parts["revisions"]
    flow = parts["flow"]
    if not isinstance(flow, Problem):
        parts |= read_parts(preview=lambda: _read_preview(owner, dataset, flow, token))
        parts["selected"] = _selected_pipeline(flow)
    return render_page(
        "datasets/detail.html",
        problem.status if problem else 200,
        owner=owner,
        dataset=dataset,
        is_owner=owner == username(),
        offset=offset,
        revision_page_size=_REVISION_PAGE_SIZE,
        errors=field_errors(problem),
        **parts,
    )


def _read_flow(owner: str, dataset: str, revision: str, token: dict[str, str]) -> dict[str, Any]:
    return describe_flow(call(_SERVICE, "GET", "source", owner, dataset, revision, headers=token))


def _selected_pipeline(flow: dict[str, Any]) -> dict[str, Any] | None:
    id_ = request.args.get("pipeline")
    return next((pipeline for pipeline in flow["pipelines"] if pipeline["id"] == id_), None)


def _read_preview(owner: str, dataset: str, flow: dict[str, Any], token: dict[str, str]) -> dict[str, Any] | None:
    """Return the first rows of the chosen table, or of the first one; None if no preview exists yet.

    Only the beginning of the file is read. Its last row is omitted if it may be incomplete.
    """
    tables = flow["previews"]
    if not tables:
        return None
    table = request.args.get("table")
    name = table if table in tables else next(iter(tables))
    path = ("source", owner, dataset, flow["revision"], "data", tables[name]["path"])
    content = send(_SERVICE, "GET", *path, headers=token | {"Range": f"bytes=0-{_PREVIEW_BYTES - 1}"}).content
    rows = list(csv.reader(io.StringIO(content.decode(errors="replace"), newline="")))
    if len(content) < tables[name]["bytes"]:
        rows = rows[:-1]
    return {"table": name, "tables": list(tables), "header": rows[0] if rows else [], "rows": rows[1:][:_PREVIEW_ROWS]}
