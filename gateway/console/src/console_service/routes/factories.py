"""Pages of the factories: their production compared with the goal, load files, and changes."""

import time
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from chassis.errors import Invalid, Problem
from console_service import sparklines
from console_service.clients import call
from console_service.routes.pages import (
    field_errors,
    form_integer,
    query_integer,
    read_parts,
    render_page,
    run_action,
)

bp = Blueprint("factories", __name__, url_prefix="/console/factories")

_SERVICE = "factory-service"
_PAGE_SIZE, _SPARKLINE_POINTS, _CHART_POINTS = 50, 60, 400
DAY = 86400
# Ranges that end with the newest point, by their names in URLs: label and seconds.
RANGES = {"day": ("Last day", DAY), "week": ("Last week", 7 * DAY), "month": ("Last month", 30 * DAY)}
# Widths of the bars of attainment: parameter of the API, label and seconds. The narrowest with few bars is used.
BUCKETS = (
    ("1h", "hour", 3600),
    ("1d", "day", DAY),
    ("1w", "week", 7 * DAY),
    ("4w", "four weeks", 28 * DAY),
    ("52w", "52 weeks", 364 * DAY),
)
_MAX_BARS = 62


@bp.get("")
def list_factories() -> Response:
    return _render_list()


@bp.post("")
def create_factory() -> BaseResponse:
    form = request.form
    try:
        factory = call(_SERVICE, "POST", "api", "factories", body={"name": form["name"]}, key=form["key"])
    except Problem as problem:
        return _render_list(problem)
    return redirect(url_for("factories.show_factory", id_=factory["id"], done="created"), 303)


@bp.get("/load")
def show_load() -> Response:
    """Return the state of a load, which is refreshed while it is in progress."""
    return render_page("factories/load.html", load=_read_load())


@bp.get("/<int:id_>")
def show_factory(id_: int) -> Response:
    return _render_factory(id_)


@bp.get("/<int:id_>/data")
def show_data(id_: int) -> Response:
    """Return the facts and the tables, from which the charts are drawn again while the page is visible."""
    return render_page("factories/data.html", **_read_production(id_), is_fragment=True)


@bp.post("/<int:id_>")
def act_on_factory(id_: int) -> BaseResponse:
    actions = {"record": lambda: _record(id_), "delete": lambda: _delete(id_)}
    return run_action(actions, lambda problem, action: _render_factory(id_, problem, action))


def _record(id_: int) -> BaseResponse:
    point = {
        "time": _parse_time("time", request.form["time"]),
        "actual": form_integer("actual"),
        "goal": form_integer("goal"),
    }
    call(_SERVICE, "POST", "api", "factory", str(id_), "production", body=point, key=request.form["key"])
    return redirect(url_for("factories.show_factory", id_=id_, done="recorded"), 303)


def _delete(id_: int) -> BaseResponse:
    call(_SERVICE, "DELETE", "api", "factory", str(id_))
    return redirect(url_for("factories.list_factories", done="deleted"), 303)


def _render_list(problem: Problem | None = None) -> Response:
    offset = query_integer("offset") or 0
    query = {"limit": _PAGE_SIZE, "offset": offset, "newest": _SPARKLINE_POINTS}
    page = call(_SERVICE, "GET", "api", "factories", query=query)
    return render_page(
        "factories/list.html",
        problem.status if problem else 200,
        factories=[_summary(factory) for factory in page["factories"]],
        total=page["count"],
        offset=offset,
        page_size=_PAGE_SIZE,
        load=read_parts(load=_read_load)["load"],
        form=request.form,
        errors=field_errors(problem),
    )


def _summary(factory: dict[str, Any]) -> dict[str, Any]:
    """Return the name, the newest point, and the attainment of the last points with their small chart."""
    chart = factory["factory"]["chart_data"]
    actual, goal = chart["sprocket_production_actual"], chart["sprocket_production_goal"]
    newest = {"time": chart["time"][-1], "actual": actual[-1], "goal": goal[-1]} if chart["time"] else None
    return {
        "id": factory["id"],
        "name": factory["name"],
        "newest": newest,
        "attainment": sum(actual) / sum(goal) if sum(goal) > 0 else None,
        "lines": sparklines.lines(actual, goal),
    }


def _read_load() -> dict[str, Any] | None:
    load = request.args.get("load")
    return call(_SERVICE, "GET", "api", "factories", "load", load) if load else None


def _render_factory(id_: int, problem: Problem | None = None, failed_form: str = "") -> Response:
    try:
        production = _read_production(id_, use_range=failed_form != "range")
    except Problem as range_problem:
        if range_problem.status != 400 or failed_form == "range":
            raise
        return _render_factory(id_, range_problem, "range")
    return render_page(
        "factories/detail.html",
        problem.status if problem else 200,
        **production,
        ranges=RANGES,
        now=int(time.time()),
        load=read_parts(load=_read_load)["load"],
        form=request.form,
        failed_form=failed_form,
        errors=field_errors(problem),
    )


def _read_production(id_: int, use_range: bool = True) -> dict[str, Any]:
    """Return the downsampled chart and the attainment in the range that the URL selects."""
    time_range = _time_range(id_) if use_range else {}
    path = ("api", "factory", str(id_))
    factory = call(_SERVICE, "GET", *path, query={**time_range, "points": _CHART_POINTS})
    chart = factory["factory"]["chart_data"]
    times = chart["time"]
    bucket, bucket_label, bucket_seconds = bucket_for(times[-1] - times[0] if times else 0)
    attainment = call(_SERVICE, "GET", *path, "attainment", query={**time_range, "bucket": bucket})
    points = zip(times, chart["sprocket_production_actual"], chart["sprocket_production_goal"], strict=True)
    return {
        "factory": {"id": factory["id"], "name": factory["name"]},
        "time_range": time_range,
        "points": list(points),
        "buckets": attainment["buckets"],
        "bucket_label": bucket_label,
        "bucket_seconds": bucket_seconds,
        # With the parameters of this page, but the toast.
        "page_query": {name: value for name, value in request.args.items() if name in ("range", "from", "to")},
    }


def bucket_for(seconds: int) -> tuple[str, str, int]:
    """Return the narrowest bucket of which few cover this time."""
    return next((bucket for bucket in BUCKETS if seconds <= _MAX_BARS * bucket[2]), BUCKETS[-1])


def _time_range(id_: int) -> dict[str, int]:
    """Return the range in the parameters of the API: from `range`, or from `from` and `to`, which are times in UTC."""
    name = request.args.get("range")
    if name is None:
        times = {field: _parse_time(field, text) for field in ("from", "to") if (text := request.args.get(field))}
        if len(times) == 2 and times["from"] > times["to"]:
            raise Invalid.field("to", "must not be before from")
        return times
    if name not in RANGES:
        raise Invalid.field("range", f"must be one of {', '.join(RANGES)}")
    # Both ends are always among the points.
    chart = call(_SERVICE, "GET", "api", "factory", str(id_), "time", query={"points": 6})
    return {"from": max(0, chart["time"][-1] - RANGES[name][1])} if chart["time"] else {}


def _parse_time(field: str, text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
        return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp())
    except (ValueError, OverflowError):
        raise Invalid.field(field, "must be a time such as 2026-01-31T08:00") from None
