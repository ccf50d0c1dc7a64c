"""The page of the gateway's users and roles. They are changed by commands, which the page explains."""

import re
from pathlib import Path
from typing import cast

from flask import Blueprint, Response

from chassis.errors import Unavailable
from chassis.web.app import require_admin, this_app
from console_service.routes.pages import read_parts, render_page
from console_service.settings import Settings

bp = Blueprint("users", __name__)
bp.before_request(require_admin)

# The lines that gateway/users.py writes. The file has no passwords.
_LINE = re.compile(r'":([A-Za-z0-9][A-Za-z0-9._@-]{0,63})" ([a-z]+);')

# The purpose of each command, and the command.
COMMANDS = (
    ("Add a user, or replace a password", "make user NAME=ann ROLE=writer"),
    ("Remove a user", "make user-remove NAME=ann"),
    ("List the users and their roles", "make users"),
)


@bp.get("/console/users")
def list_users() -> Response:
    users_file = cast(Settings, this_app().settings).users_file
    parts = read_parts(users=lambda: _read_users(users_file) if users_file else None)
    return render_page("users.html", commands=COMMANDS, **parts)


def _read_users(file: Path) -> list[tuple[str, str]]:
    """Return the names and roles, ordered by name. The file is replaced atomically, so that it is never partial."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise Unavailable(f"the users' file cannot be read: {error.strerror}") from error
    return sorted((match[1], match[2]) for match in map(_LINE.fullmatch, lines) if match)
