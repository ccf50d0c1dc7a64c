"""Pages of the sequences: their use, issue of numbers, changes, and who received which numbers."""

from typing import Any

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from chassis.errors import Problem
from console_service.clients import call
from console_service.routes.pages import field_errors, form_integer, query_integer, render_page, run_action

bp = Blueprint("sequences", __name__, url_prefix="/console/sequences")

_SERVICE, _PATH = "sequence-service", "sequences"
_BUILT_IN = ("sequence", "batch-sequence", "image-sequence", "json-sequence")
_PAGE_SIZE, _RECORD_PAGE_SIZE = 50, 20


@bp.get("")
def list_sequences() -> Response:
    return _render_list()


@bp.post("")
def create_sequence() -> BaseResponse:
    form = request.form
    try:
        call(_SERVICE, "PUT", _PATH, form["name"], body=_definition(), key=form["key"])
    except Problem as problem:
        return _render_list(problem)
    return redirect(url_for("sequences.show_sequence", name=form["name"], done="created"), 303)


@bp.get("/<name>")
def show_sequence(name: str) -> Response:
    return _render_sequence(name)


@bp.post("/<name>")
def act_on_sequence(name: str) -> BaseResponse:
    actions = {
        "issue": lambda: _issue(name),
        "next": lambda: _change(name),
        "maximum": lambda: _change(name),
        "delete": lambda: _delete(name),
    }
    return run_action(actions, lambda problem, action: _render_sequence(name, problem, action))


def _issue(name: str) -> Response:
    """Show the numbers; a repetition of the form returns the same ones, because its key is the same."""
    numbers = call(_SERVICE, "POST", _PATH, name, "next", body={"n": form_integer("n")}, key=request.form["key"])
    return _render_sequence(name, numbers=numbers)


def _change(name: str) -> BaseResponse:
    field = request.form["action"]
    call(_SERVICE, "PATCH", _PATH, name, body={field: form_integer(field)}, key=request.form["key"])
    return redirect(url_for("sequences.show_sequence", name=name, done="changed"), 303)


def _delete(name: str) -> BaseResponse:
    call(_SERVICE, "DELETE", _PATH, name)
    return redirect(url_for("sequences.list_sequences", done="deleted"), 303)


def _render_list(problem: Problem | None = None) -> Response:
    offset = query_integer("offset") or 0
    page = call(_SERVICE, "GET", _PATH, query={"limit": _PAGE_SIZE, "offset": offset})
    return render_page(
        "sequences/list.html",
        problem.status if problem else 200,
        sequences=[_with_usage(sequence) for sequence in page["sequences"]],
        total=page["total"],
        offset=offset,
        page_size=_PAGE_SIZE,
        form=request.form,
        errors=field_errors(problem),
    )


def _render_sequence(
    name: str, problem: Problem | None = None, failed_form: str = "", numbers: dict[str, Any] | None = None
) -> Response:
    before = query_integer("before")
    sequence = call(_SERVICE, "GET", _PATH, name)
    query = {"limit": _RECORD_PAGE_SIZE + 1} | ({"before": before} if before is not None else {})
    records = call(_SERVICE, "GET", _PATH, name, "issued", query=query) if sequence["audit"] else None
    return render_page(
        "sequences/detail.html",
        problem.status if problem else 200,
        sequence=_with_usage(sequence),
        is_built_in=name in _BUILT_IN,
        records=records,
        record_page_size=_RECORD_PAGE_SIZE,
        before=before,
        numbers=numbers,
        form=request.form,
        failed_form=failed_form,
        errors=field_errors(problem),
    )


def _with_usage(sequence: dict[str, Any]) -> dict[str, Any]:
    """Add the size of the range, the count of issued numbers in the current cycle and period, and their percentage."""
    size = sequence["maximum"] - sequence["minimum"] + 1
    issued = size - sequence["remaining"]
    return sequence | {"size": size, "issued": issued, "percent": 100 * issued / size}


def _definition() -> dict[str, Any]:
    form = request.form
    return {
        "minimum": form_integer("minimum"),
        "maximum": form_integer("maximum"),
        "cycle": "cycle" in form,
        "audit": "audit" in form,
        "format": form["format"] or "{}",
        "reset": form["reset"] or None,
        "timezone": form["timezone"] or "UTC",
    }
