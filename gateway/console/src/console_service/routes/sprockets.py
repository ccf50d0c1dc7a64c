"""The page of the sprockets: a table in which each can be changed."""

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from chassis.errors import Problem
from console_service.clients import call
from console_service.routes.pages import field_errors, form_integer, query_integer, render_page, run_action

bp = Blueprint("sprockets", __name__, url_prefix="/console/sprockets")

_SERVICE = "factory-service"
_PAGE_SIZE = 50
NUMBERS = {
    "teeth": "Teeth",
    "pitch_diameter": "Pitch diameter",
    "outside_diameter": "Outside diameter",
    "pitch": "Pitch",
}


@bp.get("")
def list_sprockets() -> Response:
    return _render_list()


@bp.post("")
def act_on_sprockets() -> BaseResponse:
    return run_action({"create": _create, "change": _change, "delete": _delete}, _render_list)


def _create() -> BaseResponse:
    call(_SERVICE, "POST", "api", "sprockets", body=_numbers(), key=request.form["key"])
    return _redirect("created")


def _change() -> BaseResponse:
    call(_SERVICE, "PATCH", "api", "sprocket", request.form["id"], body=_numbers(), key=request.form["key"])
    return _redirect("changed")


def _delete() -> BaseResponse:
    call(_SERVICE, "DELETE", "api", "sprocket", request.form["id"])
    return _redirect("deleted")


def _numbers() -> dict[str, int]:
    return {name: form_integer(name) for name in NUMBERS}


def _redirect(done: str) -> BaseResponse:
    return redirect(url_for("sprockets.list_sprockets", offset=_offset() or None, done=done), 303)


def _offset() -> int:
    return query_integer("offset") or 0


def _render_list(problem: Problem | None = None, failed_form: str = "") -> Response:
    page = call(_SERVICE, "GET", "api", "sprockets", query={"limit": _PAGE_SIZE, "offset": _offset()})
    return render_page(
        "sprockets/list.html",
        problem.status if problem else 200,
        sprockets=page["sprockets"],
        total=page["count"],
        offset=_offset(),
        page_size=_PAGE_SIZE,
        numbers=NUMBERS,
        form=request.form,
        failed_form=failed_form,
        errors=field_errors(problem),
    )
