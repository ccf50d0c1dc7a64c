"""Changes of the gateway's users by the commands that `make user` and `make user-remove` run.

They write the users' files, reload nginx, and end once the change is in effect.
"""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import cast

from chassis.errors import Conflict, OutcomeUnknown, Problem
from chassis.web.app import this_app
from console_service.settings import Settings

# The gateway waits 30 s for a response.
_TIMEOUT_SECONDS = 25
_ADDED = re.compile(r".*\((?P<role>\w+)\), password: (?P<password>\S+)\n")
# What gateway/users.py rejects, or else the last line: what the command itself rejects.
_REJECTION = re.compile(r"^users\.py: (.+)$", re.MULTILINE)
_LAST_LINE = re.compile(r"(?:[\w/-]+: )?(.+)\s*\Z")


def are_available() -> bool:
    """Return whether the users can be changed: only where the console may write their files.

    It must have one process, which recognizes forms that were sent before.
    """
    settings = _settings()
    if settings.users_program is None or settings.users_file is None or settings.web_concurrency > 1:
        return False
    return os.access(settings.users_file.parent, os.W_OK)


def add(name: str, role: str) -> dict[str, str]:
    """Add a user, and return its role and generated password; raise Conflict if the name exists."""
    return _read_password(_run("user", name, role, "--new"))


def replace_password(name: str) -> dict[str, str]:
    """Return the role and the new password of an existing user."""
    return _read_password(_run("user", name, "--existing"))


def remove(name: str) -> None:
    _run("user-remove", name)


def _run(*arguments: str) -> str:
    """Run the command and return its output, which no log may contain."""
    if not are_available():
        raise Problem("the console of this installation cannot change the users", status=403)
    command = [sys.executable, str(cast(Path, _settings().users_program)), *arguments]
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=_TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise OutcomeUnknown(f"this has not taken effect within {_TIMEOUT_SECONDS} s, but still may") from None
    if result.returncode:
        raise Conflict(_reason(result.stderr))
    return result.stdout


def _read_password(output: str) -> dict[str, str]:
    match = _ADDED.fullmatch(output)
    if match is None:
        raise OutcomeUnknown("the command did not print a password")
    return match.groupdict()


def _reason(errors: str) -> str:
    match = _REJECTION.search(errors) or _LAST_LINE.search(errors)
    return match[1] if match else "the command failed without a message"


def _settings() -> Settings:
    return cast(Settings, this_app().settings)
