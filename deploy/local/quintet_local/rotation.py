"""`make rotate-passwords`: replaces the passwords of all servers while the stack runs.

1. The new passwords are generated and stored in a file, so that a rotation that was interrupted is completed by
   running it again: each step may be repeated.
2. The servers receive the new passwords of their administrators, and RabbitMQ and Redis those of the services.
   Connections stay open. A program that is not replaced yet cannot reconnect to them: messages wait, and
   factory-service does without Redis.
3. Postgres has one password for each role. When that of a service changes, a standby that knows the new one is ready
   and receives the requests immediately. Then the worker and the web program of the service are replaced.
"""

import argparse
import json
import os
from collections.abc import Callable, Collection
from typing import Any, Protocol

from quintet_local import backup, broker_users, commands, envfile, gateway, upgrade
from quintet_local.progress import StackError, log_progress
from quintet_local.restore import reject_interrupted
from quintet_local.tools import Session

_POSTGRES_ADMINISTRATOR = "admin"


class Stack(commands.Stack, Protocol):
    """Interface of a stack whose passwords can be replaced."""

    def reopened(self) -> "Stack":
        """Return the stack with the settings that .env has now."""

    def update_secrets(self, rotated: Collection[str]) -> None:
        """Update the files from which servers and programs read passwords when they are started.

        Those with a password of a role of Postgres are updated for `rotated` services only.
        """

    def set_cache_password(self, password: str) -> None:
        """Let Redis require this password of new connections; repeating it has no effect."""


def run(stack: Stack, open_programs: Callable[[Any], upgrade.Programs], arguments: argparse.Namespace) -> None:
    """Replace the passwords; `open_programs` returns the programs of a stack with its new settings."""
    with stack.exclusive_lock():
        reject_interrupted(stack.env_file)
        new = _new_passwords(stack, arguments.administrator)
        log_progress("replacing the passwords of the servers")
        _set_role_password(stack, _POSTGRES_ADMINISTRATOR, new["POSTGRES_PASSWORD"])
        stack.set_cache_password(new["REDIS_PASSWORD"])
        envfile.set_values(stack.env_file, new)
        stack = stack.reopened()
        broker_users.update(stack.broker_tool, stack.settings, stack.service_names)
        stack.update_secrets(rotated=[])
        programs = open_programs(stack)
        upgrade.complete(programs)
        for number, service in enumerate(stack.service_names, 1):
            log_progress(f"replacing the password of {service}-service")
            stack.update_secrets(rotated=stack.service_names[:number])
            _rotate_service(stack, programs, service)
        gateway.set_administrator(stack.settings, stack.users_environment())
        stack.reload_gateway()
        programs.finish()
        upgrade.forget_rotation(stack.env_file)
    log_progress("all passwords: replaced")


def _new_passwords(stack: Stack, administrator: bool) -> dict[str, str]:
    """Return the new value of each setting that is a password, the same ones until the rotation is complete."""
    file = stack.env_file.with_name(upgrade.ROTATING)
    if not file.exists():
        names = envfile.password_names(stack.service_names)
        names += ["ADMIN_PASSWORD"] if administrator else []
        passwords = {name: envfile.new_secret() for name in names}
        new = file.with_name(f"{upgrade.ROTATING}.new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            json.dump(passwords, out)
        new.replace(file)
    stored: dict[str, str] = json.loads(file.read_text())
    return stored


def _rotate_service(stack: Stack, programs: upgrade.Programs, service: str) -> None:
    def take_over() -> None:
        _set_role_password(stack, service, stack.settings[envfile.database_password_name(service)])
        programs.select(_web(service), standby=True)
        programs.replace_workers([service])

    upgrade.replace(programs, _web(service), take_over)


def _web(service: str) -> str:
    return f"{service}-web"


def _set_role_password(stack: Stack, role: str, password: str) -> None:
    """Set the password of a role. That of the administrator has been set before if the current one is rejected."""
    try:
        with Session(backup.psql(stack, "postgres")) as session:
            # The statement is sent as input, because arguments are visible in the process list.
            session.query(f"ALTER ROLE \"{role}\" PASSWORD '{password}'")
    except StackError as error:
        if role != _POSTGRES_ADMINISTRATOR or "password authentication failed" not in str(error):
            raise
