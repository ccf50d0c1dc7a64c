"""Shared parts of all pages: navigation, notices, formats of values, and errors."""

import contextvars
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Flask, Response, g, render_template, request
from werkzeug.exceptions import BadRequestKeyError
from werkzeug.wrappers import Response as BaseResponse

from chassis import strictjson
from chassis.errors import Invalid, Problem
from chassis.web.app import role, username
from chassis.web.errors import problem_json

bp = Blueprint("pages", "console_service", template_folder="templates")

# Label and endpoint of each entry of the navigation.
_NAVIGATION = (
    ("Overview", "overview.show_overview"),
    ("Sequences", "sequences.list_sequences"),
    ("Streams", "streams.list_streams"),
    ("Orders", "orders.show_orders"),
    ("Datasets", "datasets.list_datasets"),
    ("Factories", "factories.list_factories"),
)
_ADMIN_NAVIGATION = (("Messages", "messages.list_queues"), ("Users", "users.list_users"))
WRITERS = ("admin", "writer")
# After an action, the browser is redirected to a page with the parameter `done`, so that reloading it repeats nothing.
_NOTICES = {
    "created": "Created.",
    "changed": "Changed.",
    "deleted": "Deleted.",
    "removed": "Removed.",
    "uploaded": "Uploaded as a new revision.",
    "cancelled": "Canceled.",
    "cancelling": "The import ends before its next step.",
    "undoing": "The orders of this import are being deleted.",
    "retried": "Queued as a new revision.",
    "appended": "Appended.",
    "replayed": "Replayed: the next reads of the consumer return it first.",
    "recorded": "Accepted; the chart shows it within a second.",
    "started": "Started.",
    "requeued": "Requeued: the workers process them again.",
}


@bp.app_context_processor
def _shared_values() -> dict[str, Any]:
    return {
        "navigation": _NAVIGATION + (_ADMIN_NAVIGATION if role() == "admin" else ()),
        "user": username(),
        "role": role(),
        "may_write": role() in WRITERS,
        "notice": _NOTICES.get(request.args.get("done", "")),
        "form_key": _form_key,
    }


def _form_key(action: str = "", **values: Any) -> str:
    """Return the Idempotency-Key of the form with this action and these values.

    A form that failed keeps its key, because its request may have been carried out before the connection was lost. It
    needs another one if the service reports (422) that this was the case, and the form has been changed since.
    """
    form = request.form
    has_failed = "key" in form and g.page_status not in (HTTPStatus.OK, HTTPStatus.UNPROCESSABLE_ENTITY)
    is_same = all(form.get(name, "") == str(value) for name, value in ({"action": action} | values).items())
    return form["key"] if has_failed and is_same else uuid.uuid4().hex


def render_page(template: str, status: int = 200, **context: Any) -> Response:
    """Render a page; its status is 400 if a service rejected a parameter of the URL, which a part of the page names."""
    if any(isinstance(part, Problem) and part.status == HTTPStatus.BAD_REQUEST for part in context.values()):
        status = HTTPStatus.BAD_REQUEST
    g.page_status = status
    response = Response(render_template(template, **context), status, content_type="text/html; charset=utf-8")
    response.headers["Cache-Control"] = "no-store"
    return response


def render_live_part(template: str, page_url: str, *, has_ended: bool, **context: Any) -> Response:
    """Return a part of a page that is refreshed; after its end, the browser loads the page, which then shows more."""
    response = render_page(template, **context)
    if has_ended:
        response.headers["HX-Redirect"] = page_url
    return response


def render_problem(problem: Problem) -> Response:
    """Return an error as a page if the request was for a page, and as a problem document otherwise."""
    if request.path != "/" and not request.path.startswith("/console"):
        return problem_json(problem)
    return render_page("problem.html", problem.status, problem=problem)


@bp.app_errorhandler(BadRequestKeyError)
def _name_missing_field(error: BadRequestKeyError) -> Response:
    return render_problem(Invalid.field(error.args[0], "is required"))


def read_parts(**parts: Callable[[], Any]) -> dict[str, Any]:
    """Return what the functions return, called in parallel.

    The value of a function that fails is its Problem, so that the rest of the page can be shown; see `ui.failure`.
    """

    def read(part: Callable[[], Any]) -> Any:
        try:
            return part()
        except Problem as problem:
            return problem

    with ThreadPoolExecutor(len(parts)) as pool:
        futures = {name: pool.submit(contextvars.copy_context().run, read, part) for name, part in parts.items()}
    return {name: future.result() for name, future in futures.items()}


def run_action(
    actions: Mapping[str, Callable[[], BaseResponse]], render: Callable[[Problem, str], BaseResponse]
) -> BaseResponse:
    """Run the action that the form names; if it fails, `render` shows the page with the error at the form.

    All forms of a page are sent to its own address, so that the page can be reloaded.
    """
    action = request.form["action"]
    if action not in actions:
        raise Invalid.field("action", f"must be one of {', '.join(actions)}")
    try:
        return actions[action]()
    except Problem as problem:
        return render(problem, action)


def query_integer(name: str) -> int | None:
    """Return a parameter of the URL that counts or numbers something; None if it is absent or empty."""
    text = request.args.get(name)
    if not text:
        return None
    try:
        value = int(text)
    except ValueError:
        value = -1
    if value < 0:
        raise Invalid.field(name, "must be an integer of at least 0")
    return value


def form_integer(field: str) -> int:
    try:
        return int(request.form[field])
    except ValueError:
        raise Invalid.field(field, "must be an integer") from None


def form_json(field: str) -> Any:
    try:
        return strictjson.loads(request.form[field].encode())
    except Invalid as problem:
        raise Invalid.field(field, problem.errors[0][1]) from None


def field_errors(problem: Problem | None) -> Mapping[str, str]:
    """Return the message for each field of a form; that of the form as a whole is under an empty name."""
    if problem is None:
        return {}
    return dict(problem.errors) or {"": problem.detail}


def register_filters(app: Flask) -> None:
    app.jinja_env.tests["failure"] = lambda part: isinstance(part, Problem)
    app.jinja_env.filters |= {
        "number": format_number,
        "time": parse_time,
        "duration": format_duration,
        "moment": moment,
    }
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True


def format_number(value: float) -> str:
    return f"{value:,}"


def parse_time(text: str) -> dict[str, str]:
    """Return the time for a machine, for a person in UTC, and how long ago it is."""
    moment = datetime.fromisoformat(text)
    seconds = (datetime.now(UTC) - moment).total_seconds()
    return {"iso": text, "exact": moment.strftime("%Y-%m-%d %H:%M:%S UTC"), "ago": f"{format_duration(seconds)} ago"}


def moment(unix_seconds: int) -> datetime:
    return datetime.fromtimestamp(unix_seconds, UTC)


def format_duration(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(max(seconds, 0))} s"
