"""`make upgrade`: replaces the programs of a running stack by the checked-out version without a failed request.

1. A backup is made, because migrations cannot be undone.
2. The new version is built, and the database is migrated. Nothing has been replaced yet if that fails.
3. The workers are replaced, because a worker of the previous version may not know the messages of a new web program.
4. Each web program is replaced while a standby of the new version receives its requests.
5. The gateway is replaced, if its program or its configuration has changed.

Each step may be repeated, so an upgrade that was interrupted is completed by running it again.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from quintet_local import backup
from quintet_local.progress import StackError, log_progress
from quintet_local.restore import reject_interrupted

# The new passwords while they are being replaced (rotation.py), next to .env.
ROTATING = ".rotation"
# A request that the gateway has routed resolves a name and connects within 2 s. It closes idle connections after 2 s.
_SETTLE_SECONDS = 3


class Programs(Protocol):
    """Interface of the programs of a stack, with which they are replaced one after another."""

    @property
    def webs(self) -> Sequence[str]:
        """The web programs, in the order in which they are replaced."""

    def configure(self) -> None:
        """Update the files that the programs are started with."""

    def prepare(self) -> None:
        """Build the new version, and let the gateway know of standbys, if it does not yet."""

    def migrate(self) -> None: ...

    def replace_workers(self, services: Sequence[str]) -> None: ...

    def standbys(self) -> Sequence[str]:
        """Return the web programs that have a standby."""

    def selected_standbys(self) -> Sequence[str]:
        """Return the web programs whose standby receives their requests."""

    def start_standby(self, web: str) -> None:
        """Start a standby, and wait until it accepts requests."""

    def select(self, web: str, *, standby: bool) -> None:
        """Let the gateway send new requests for the web program to its standby, or to the program itself."""

    def replace_web(self, web: str) -> None:
        """Let the web program finish its requests, start its successor, and wait until it accepts requests."""

    def remove_standby(self, web: str) -> None:
        """Let the standby finish its requests, and remove it."""

    def finish(self) -> None:
        """Replace what else has changed, and wait until everything is healthy."""


def reject_rotation(env_file: Path) -> None:
    """Raise a StackError if a rotation of passwords has begun and was not completed."""
    if env_file.with_name(ROTATING).exists():
        raise StackError("a rotation of passwords was interrupted: run `make rotate-passwords` again")


def forget_rotation(env_file: Path) -> None:
    """Delete the new passwords of a rotation, after all servers and programs have received those in .env."""
    env_file.with_name(ROTATING).unlink(missing_ok=True)


def run(stack: backup.Stack, programs: Programs, arguments: argparse.Namespace) -> None:
    with stack.exclusive_lock():
        reject_interrupted(stack.env_file)
        reject_rotation(stack.env_file)
        if arguments.backup:
            backup.create(stack, Path(f"backups/before-upgrade-{datetime.now(UTC):%Y-%m-%dT%H-%M-%SZ}").resolve())
        programs.configure()
        programs.prepare()
        programs.migrate()
        log_progress("replacing the workers")
        programs.replace_workers(stack.service_names)
        complete(programs)
        for web in programs.webs:
            log_progress(f"replacing {web}")
            replace(programs, web, lambda web=web: programs.select(web, standby=True))  # type: ignore[misc]
        programs.finish()
    log_progress("upgraded")


def replace(programs: Programs, web: str, take_over: Callable[[], None]) -> None:
    """Replace a web program while its standby, which `take_over` selects, receives the requests."""
    try:
        programs.start_standby(web)
    except BaseException:
        programs.remove_standby(web)
        raise
    take_over()
    time.sleep(_SETTLE_SECONDS)
    programs.replace_web(web)
    programs.select(web, standby=False)
    time.sleep(_SETTLE_SECONDS)
    programs.remove_standby(web)


def complete(programs: Programs) -> None:
    """Complete the replacement of web programs that was interrupted.

    If a standby receives the requests, the web program may not be running. Else its standby is not required: either its
    replacement has not begun, or it has ended.
    """
    for web in programs.selected_standbys():
        programs.replace_web(web)
    remove_standbys(programs)


def remove_standbys(programs: Programs) -> None:
    """Remove the standbys that an interrupted upgrade has left; their web programs must be running."""
    if standbys := programs.standbys():
        for web in standbys:
            programs.select(web, standby=False)
        time.sleep(_SETTLE_SECONDS)
        for web in standbys:
            programs.remove_standby(web)
