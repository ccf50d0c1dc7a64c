"""The page of the gateway's users and roles, which changes them where the console may write the users' files."""

import re
from collections import deque
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import cast

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from chassis.errors import Conflict, Invalid, Problem, Unavailable
from chassis.runtime import logs
from chassis.web.app import require_admin, this_app, username
from console_service import access_log, user_commands
from console_service.routes.pages import field_errors, read_parts, render_page, run_action
from console_service.settings import Settings

log = logs.logger(__name__)

bp = Blueprint("users", __name__)
bp.before_request(require_admin)

_NAME = r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}"
# The lines that gateway/users.py writes. The file has no passwords.
_LINE = re.compile(rf'":({_NAME})" ([a-z]+);')

# Each role, and what it may do.
ROLES = {
    "admin": "everything, also messages, traces and users",
    "writer": "reads and changes",
    "reader": "only reads, and receives no numbers",
    "runner": "only runs pipelines: lists them and reports their progress",
}
# The purpose of each command, and the command.
COMMANDS = (
    ("Add a user, or replace a password and a role", "make user NAME=ann ROLE=writer"),
    ("Remove a user", "make user-remove NAME=ann"),
    ("List the users and their roles", "make users"),
)

# Keys of the forms that were sent. Where the console may change users, it has one process (user_commands).
_sent_keys: deque[str] = deque(maxlen=1000)
_sent_keys_lock = Lock()


@bp.get("/console/users")
def list_users() -> Response:
    return _render_list()


@bp.post("/console/users")
def act_on_users() -> BaseResponse:
    return run_action({"add": _add, "replace": _replace, "remove": _remove}, _render_list)


def _add() -> Response:
    name, role = _form_name(), request.form["role"]
    if role not in ROLES:
        raise Invalid.field("role", f"must be one of {', '.join(ROLES)}")
    added = _change_once(lambda: user_commands.add(name, role))
    log.info("user.added", user=name, role=role, changed_by=username())
    return _render_list(added={"name": name, "is_new": True, **added})


def _replace() -> Response:
    name = _form_name()
    _refuse_own(name)
    replaced = _change_once(lambda: user_commands.replace_password(name))
    log.info("user.password_replaced", user=name, changed_by=username())
    return _render_list(added={"name": name, "is_new": False, **replaced})


def _remove() -> BaseResponse:
    name = _form_name()
    _refuse_own(name)
    user_commands.remove(name)
    log.info("user.removed", user=name, changed_by=username())
    return redirect(url_for("users.list_users", done="removed"), 303)


def _form_name() -> str:
    """Return the name in the form, in the form that gateway/users.py accepts: never an option of a command."""
    name = request.form["name"]
    if not re.fullmatch(_NAME, name):
        raise Invalid.field(
            "name", "must have 1 to 64 characters of A-Z a-z 0-9 . _ @ - and begin with a letter or digit"
        )
    return name


def _refuse_own(name: str) -> None:
    if name == username():
        # The browser would go on sending the old password.
        raise Conflict("you cannot change yourself here: ask another admin, or use the commands below")


def _change_once(change: Callable[[], dict[str, str]]) -> dict[str, str]:
    """Return what `change` returns. Refuse a form that was sent before: it would replace the password just shown.

    If the change was refused, nothing has changed, and the form can be sent again.
    """
    key = request.form["key"]
    with _sent_keys_lock:
        if key in _sent_keys:
            raise Conflict("this form was already sent: if you did not see the password, replace it")
        _sent_keys.append(key)
    try:
        return change()
    except Conflict:
        with _sent_keys_lock:
            _sent_keys.remove(key)
        raise


def _render_list(
    problem: Problem | None = None, failed_form: str = "", added: dict[str, str | bool] | None = None
) -> Response:
    settings = cast(Settings, this_app().settings)
    users_file, log_file = settings.users_file, settings.access_log_file
    parts = read_parts(users=lambda: _read_users(users_file) if users_file else None)
    names = [name for name, _ in parts["users"]] if isinstance(parts["users"], list) else []
    return render_page(
        "users.html",
        problem.status if problem else 200,
        roles=ROLES,
        commands=COMMANDS,
        may_change=user_commands.are_available(),
        last_requests=access_log.find_last_requests(log_file, names) if log_file else None,
        added=added,
        form=request.form,
        failed_form=failed_form,
        errors=field_errors(problem),
        **parts,
    )


def _read_users(file: Path) -> list[tuple[str, str]]:
    """Return the names and roles, ordered by name. The file is replaced atomically, so that it is never partial."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise Unavailable(f"the users' file cannot be read: {error.strerror}") from error
    return sorted((match[1], match[2]) for match in map(_LINE.fullmatch, lines) if match)
