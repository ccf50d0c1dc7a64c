"""The page of a stream's settings: its retention and the schemas of its events."""

import json
from typing import Any

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from chassis.errors import Problem
from console_service.routes.pages import form_integer, form_json, query_integer, run_action
from console_service.routes.stream_api import call_stream, read_stream_parts, render_stream_page

bp = Blueprint("settings", __name__, url_prefix="/<stream>/settings")

_PAGE_SIZE = 100


@bp.get("")
def show_settings(stream: str) -> Response:
    return _render_settings(stream)


@bp.post("")
def act_on_settings(stream: str) -> BaseResponse:
    actions = {
        "retention": lambda: _set_retention(stream),
        "remove-retention": lambda: _remove_retention(stream),
        "schema": lambda: _set_schema(stream),
        "delete-schema": lambda: _delete_schema(stream),
    }
    return run_action(actions, lambda problem, action: _render_settings(stream, problem, action))


def _set_retention(stream: str) -> BaseResponse:
    limits = {name: form_integer(name) if request.form[name] else None for name in ("max_age_days", "max_events")}
    call_stream("PUT", stream, "retention", body=limits)
    return _redirect(stream, "changed")


def _remove_retention(stream: str) -> BaseResponse:
    call_stream("DELETE", stream, "retention")
    return _redirect(stream, "deleted")


def _set_schema(stream: str) -> BaseResponse:
    call_stream("PUT", stream, *_schema_path(), body=form_json("document"))
    return _redirect(stream, "changed")


def _delete_schema(stream: str) -> BaseResponse:
    call_stream("DELETE", stream, *_schema_path())
    return _redirect(stream, "deleted")


def _schema_path() -> tuple[str, str, str]:
    return "schemas", request.form["name"], str(form_integer("version"))


def _redirect(stream: str, done: str) -> BaseResponse:
    return redirect(url_for("streams.settings.show_settings", stream=stream, done=done), 303)


def _render_settings(stream: str, problem: Problem | None = None, failed_form: str = "") -> Response:
    offset = query_integer("offset") or 0
    query = {"limit": _PAGE_SIZE, "offset": offset}
    parts = read_stream_parts(
        stream,
        retention=lambda: call_stream("GET", stream, "retention"),
        schemas=lambda: call_stream("GET", stream, "schemas", query=query),
        edited=lambda: _read_edited_schema(stream),
    )
    return render_stream_page(
        "streams/settings.html",
        parts["state"],
        problem,
        failed_form,
        retention=parts["retention"],
        schemas=parts["schemas"],
        edited=parts["edited"],
        offset=offset,
        page_size=_PAGE_SIZE,
    )


def _read_edited_schema(stream: str) -> dict[str, Any]:
    """Return the values of the form: the schema that the address names, if any."""
    name, version = request.args.get("name", ""), request.args.get("version", "")
    if not (name and version):
        return {"name": "", "version": "1", "document": ""}
    document = call_stream("GET", stream, "schemas", name, version)
    return {"name": name, "version": version, "document": json.dumps(document, ensure_ascii=False, indent=2)}
