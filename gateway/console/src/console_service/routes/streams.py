"""Pages of the streams: their list, and the events of one, which can be followed and appended."""

import json
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from chassis.errors import Problem
from chassis.web.app import username
from console_service.clients import call
from console_service.routes import stream_consumers, stream_settings
from console_service.routes.pages import (
    field_errors,
    form_integer,
    form_json,
    query_integer,
    render_page,
    run_action,
)
from console_service.routes.stream_api import (
    SERVICE,
    call_stream,
    parse_utc_time,
    read_stream_parts,
    render_stream_page,
)

bp = Blueprint("streams", __name__, url_prefix="/console/streams")
bp.register_blueprint(stream_consumers.bp)
bp.register_blueprint(stream_settings.bp)

_PAGE_SIZE, _EVENT_PAGE_SIZE = 50, 25
_AFTER_LAST_POSITION = 2**53
# A larger event is shown in part, with a link to the whole one.
_MAX_SHOWN_CHARACTERS = 20_000


@bp.get("")
def list_streams() -> Response:
    return _render_list()


@bp.post("")
def create_stream() -> BaseResponse:
    stream = request.form["stream"]
    try:
        _append(stream, request.form["X-Producer-ID"])
    except Problem as problem:
        return _render_list(problem)
    return redirect(url_for("streams.show_stream", stream=stream, done="created"), 303)


@bp.get("/<stream>")
def show_stream(stream: str) -> Response:
    return _render_stream(stream)


@bp.post("/<stream>")
def act_on_stream(stream: str) -> BaseResponse:
    def append() -> BaseResponse:
        _append(stream, call_stream("GET", stream)["producer"])
        return redirect(url_for("streams.show_stream", stream=stream, done="appended"), 303)

    return run_action({"append": append}, lambda problem, action: _render_stream(stream, problem, action))


def _append(stream: str, producer: str) -> None:
    """Append the event of the form. Its time is that of the form, so that a repetition sends the same event."""
    form = request.form
    event = {
        "event": {"name": form["event.name"], "version": form_integer("event.version")},
        "system": {"id": "console", "name": "Quintet console", "time": form["system.time"], "timezone": "UTC"},
        "trigger": {"type": "user", "name": username() or "console"},
        "payload": form_json("payload"),
    }
    try:
        call_stream("POST", stream, "events", body=event, key=form["key"], headers={"X-Producer-ID": producer})
    except Problem as problem:
        if problem.status == 423:
            raise Problem("only the stream's owner may append, with its producer ID", status=423) from problem
        raise


def _render_list(problem: Problem | None = None) -> Response:
    prefix, after = request.args.get("prefix", ""), request.args.get("after", "")
    query = {name: value for name, value in (("prefix", prefix), ("after", after)) if value}
    page = call(SERVICE, "GET", "api", "v1", "streams", query={"limit": _PAGE_SIZE + 1, **query})
    return render_page(
        "streams/list.html",
        problem.status if problem else 200,
        streams=page["streams"][:_PAGE_SIZE],
        has_more=len(page["streams"]) > _PAGE_SIZE,
        total=page["total"],
        prefix=prefix,
        after=after,
        now=_now(),
        form=request.form,
        errors=field_errors(problem),
    )


def _render_stream(stream: str, problem: Problem | None = None, failed_form: str = "") -> Response:
    positions = {name: value for name in ("before", "from") if (value := query_integer(name)) is not None}
    parts = read_stream_parts(stream, page=lambda: _read_page(stream, positions))
    page, name = parts["page"], request.args.get("name", "")
    return render_stream_page(
        "streams/events.html",
        parts["state"],
        problem,
        failed_form,
        page=page,
        filter_errors=field_errors(page if isinstance(page, Problem) else None),
        name=name,
        from_time=request.args.get("from_time", ""),
        live_url=f"/api/v1/streams/{quote(stream, safe='')}/live?eventName={quote(name or '*', safe='')}",
        now=_now(),
        new_event={"event": {"id": "", "name": "", "version": ""}, "position": 0, "request_id": "-", "json": ""},
        max_shown_characters=_MAX_SHOWN_CHARACTERS,
    )


class _EventPage(NamedTuple):
    """Events, newest first, and the positions that limit the pages of older and newer events; None without them.

    With a filter or a retention, the page of older events may be empty.
    """

    events: list[dict[str, Any]]
    before: int | None
    from_: int | None
    is_newest: bool


def _read_page(stream: str, positions: dict[str, int]) -> _EventPage:
    args = request.args
    cursors: dict[str, Any] = dict(positions)
    if args.get("from_time"):
        cursors["from_time"] = parse_utc_time("from_time", args["from_time"])
    query: dict[str, Any] = {"limit": _EVENT_PAGE_SIZE + 1, **(cursors or {"before": _AFTER_LAST_POSITION})}
    if args.get("name"):
        query["name"] = args["name"]
    rows = call_stream("GET", stream, "events", query=query)
    has_more, events = len(rows) > _EVENT_PAGE_SIZE, [_with_json(event) for event in rows[:_EVENT_PAGE_SIZE]]
    if "from" in cursors or "from_time" in cursors:
        events.reverse()
        older = events[-1]["position"] if events and events[-1]["position"] > 1 else None
        return _EventPage(events, older, events[0]["position"] + 1 if has_more else None, is_newest=False)
    newer = cursors.get("before")
    return _EventPage(events, events[-1]["position"] if has_more else None, newer, is_newest=not cursors)


def _with_json(event: dict[str, Any]) -> dict[str, Any]:
    return event | {"json": json.dumps(event, ensure_ascii=False, indent=2)}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
