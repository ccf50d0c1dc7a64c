"""Shared parts of all pages: navigation, notices, formats of values, and errors."""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Flask, Response, render_template, request

from chassis.errors import Problem
from chassis.web.app import role, username
from chassis.web.errors import problem_json

bp = Blueprint("pages", "console_service", template_folder="templates")

# Label and endpoint of each entry of the navigation.
_NAVIGATION = (("Overview", "overview.show_overview"), ("Sequences", "sequences.list_sequences"))
_WRITERS = ("admin", "writer")
# After an action, the browser is redirected to a page with the parameter `done`, so that reloading it repeats nothing.
_NOTICES = {
    "created": "Created.",
    "changed": "Changed.",
    "deleted": "Deleted.",
}


@bp.app_context_processor
def _shared_values() -> dict[str, Any]:
    return {
        "navigation": _NAVIGATION,
        "user": username(),
        "role": role(),
        "may_write": role() in _WRITERS,
        "notice": _NOTICES.get(request.args.get("done", "")),
        "new_key": lambda: uuid.uuid4().hex,
    }


def render_page(template: str, status: int = 200, **context: Any) -> Response:
    response = Response(render_template(template, **context), status, content_type="text/html; charset=utf-8")
    response.headers["Cache-Control"] = "no-store"
    return response


def render_problem(problem: Problem) -> Response:
    """Return an error as a page if the request was for a page, and as a problem document otherwise."""
    if request.path != "/" and not request.path.startswith("/console"):
        return problem_json(problem)
    return render_page("problem.html", problem.status, problem=problem)


def field_errors(problem: Problem | None) -> Mapping[str, str]:
    """Return the message for each field of a form; that of the form as a whole is under an empty name."""
    if problem is None:
        return {}
    return dict(problem.errors) or {"": problem.detail}


def register_filters(app: Flask) -> None:
    app.jinja_env.filters |= {"number": format_number, "time": parse_time, "duration": format_duration}
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True


def format_number(value: float) -> str:
    return f"{value:,}"


def parse_time(text: str) -> dict[str, str]:
    """Return the time for a machine, for a person in UTC, and how long ago it is."""
    moment = datetime.fromisoformat(text)
    seconds = (datetime.now(UTC) - moment).total_seconds()
    return {"iso": text, "exact": moment.strftime("%Y-%m-%d %H:%M:%S UTC"), "ago": f"{format_duration(seconds)} ago"}


def format_duration(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(max(seconds, 0))} s"
