"""Pages of the consumers of a stream: their offsets, what blocks them, and their parked events."""

from typing import Any

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from chassis.errors import Invalid, Problem
from console_service.routes.pages import query_integer, run_action
from console_service.routes.stream_api import call_stream, parse_utc_time, read_stream_parts, render_stream_page

bp = Blueprint("consumers", __name__, url_prefix="/<stream>/consumers")

_PAGE_SIZE, _PARKED_PAGE_SIZE = 50, 20


@bp.get("")
def list_consumers(stream: str) -> Response:
    offset = query_integer("offset") or 0
    query = {"limit": _PAGE_SIZE, "offset": offset}
    parts = read_stream_parts(stream, consumers=lambda: call_stream("GET", stream, "consumers", query=query))
    return render_stream_page(
        "streams/consumers.html",
        parts["state"],
        None,
        "",
        consumers=parts["consumers"],
        offset=offset,
        page_size=_PAGE_SIZE,
    )


@bp.get("/<consumer>")
def show_consumer(stream: str, consumer: str) -> Response:
    return _render_consumer(stream, consumer)


@bp.post("/<consumer>")
def act_on_consumer(stream: str, consumer: str) -> BaseResponse:
    actions = {
        "move": lambda: _move_offset(stream, consumer),
        "replay": lambda: _replay(stream, consumer, request.form["event"]),
        "replay-all": lambda: _replay(stream, consumer),
        "delete": lambda: _delete(stream, consumer),
    }
    return run_action(actions, lambda problem, action: _render_consumer(stream, consumer, problem, action))


def _replay(stream: str, consumer: str, *event: str) -> BaseResponse:
    call_stream("POST", stream, "consumers", consumer, "parked", *event, "replay")
    return redirect(url_for("streams.consumers.show_consumer", stream=stream, consumer=consumer, done="replayed"), 303)


def _move_offset(stream: str, consumer: str) -> BaseResponse:
    form = request.form
    body = {"eventName": form["eventName"], "offset": _parse_target(form["offset"].strip())}
    call_stream("PUT", stream, "consumers", consumer, "offset", body=body)
    return redirect(url_for("streams.consumers.show_consumer", stream=stream, consumer=consumer, done="changed"), 303)


def _parse_target(text: str) -> Any:
    if text == "end":
        return text
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        return {"time": parse_utc_time("offset", text)}
    except Invalid:
        raise Invalid.field("offset", "must be a number, end, or a time such as 2026-11-27T08:30") from None


def _delete(stream: str, consumer: str) -> BaseResponse:
    call_stream("DELETE", stream, "consumers", consumer)
    return redirect(url_for("streams.consumers.list_consumers", stream=stream, done="deleted"), 303)


def _render_consumer(stream: str, consumer: str, problem: Problem | None = None, failed_form: str = "") -> Response:
    offset = query_integer("offset") or 0
    parked_query = {"limit": _PARKED_PAGE_SIZE, "offset": offset}
    parts = read_stream_parts(
        stream,
        consumers=lambda: call_stream("GET", stream, "consumers", query={"consumer": consumer}),
        parked=lambda: call_stream("GET", stream, "consumers", consumer, "parked", query=parked_query),
    )
    return render_stream_page(
        "streams/consumer.html",
        parts["state"],
        problem,
        failed_form,
        consumer=consumer,
        consumers=parts["consumers"],
        parked=parts["parked"],
        offset=offset,
        page_size=_PARKED_PAGE_SIZE,
    )
