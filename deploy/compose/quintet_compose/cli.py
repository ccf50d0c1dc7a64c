"""The commands behind the Makefile's targets when the stack runs in containers."""

import argparse
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quintet_compose import identity, secret_files
from quintet_compose.identity import Identity
from quintet_compose.stack import Compose
from quintet_local import commands, envfile, locking, tls
from quintet_local.gateway import set_administrator
from quintet_local.layout import MARKER
from quintet_local.progress import StackError, say
from quintet_local.watching import Watch


def main() -> int:
    return commands.run("deploy/compose", __doc__, COMMANDS, Compose)


def env(stack: Compose, given: argparse.Namespace) -> None:
    """Create the files that docker-compose.yml reads, also for calling `docker compose` by hand."""
    with stack.alone():
        _make_files(stack)


def _make_files(stack: Compose) -> None:
    commands.settle(stack.env_file)
    stack.identity = identity.ensure(stack.home, stack.env_file)
    made = commands.make_settings(stack.env_file, stack.words)
    secret_files.write(stack.secrets, made, stack.words)
    set_administrator(made, stack.users_tool())


def up(stack: Compose, given: argparse.Namespace) -> None:
    with stack.alone():
        _make_files(stack)
        if given.tls:
            # The user of the gateway's container has to read the key.
            tls.ensure(stack.env_file, stack.users / "tls", key_mode=0o644)
        say("building the images that have changed")
        stack.run("build", "--quiet")
        say("starting the containers")
        start(stack)
        stack.reload_gateway()
        # `up --wait` does not notice a worker that ends again and again, and gives up a web that has ended once.
        Watch(stack.programs, stack.end_of_log, stack.health).wait(
            "the gateway finds every service healthy",
            stack.is_healthy,
            advice=lambda: "look at `make status` and `make logs S=<container>`",
        )
    commands.say_where(stack.settings)


def start(stack: Compose) -> None:
    changed = stack.secrets / secret_files.CHANGED
    try:
        stack.run("up", "--detach", "--remove-orphans", *(["--force-recreate"] if changed.exists() else []))
        changed.unlink(missing_ok=True)
    except StackError as problem:
        prepares = ["postgres", "roles", *(f"{word}-migrate" for word in stack.words)]
        stack.run("logs", "--tail", "3", *prepares)
        raise StackError(
            f"{problem}\nIf a container that comes first has failed, its last lines are here. `password authentication"
            f" failed` means that the data was made with another .env than {stack.env_file}: put that one back, or"
            " remove the data with `make clean`"
        ) from None


def down(stack: Compose, given: argparse.Namespace) -> None:
    with _found(stack) as found:
        if found is None:
            say("nothing to stop: no stack exists here")
            return
        identity.refuse_foreign(found, stack.env_file, "nothing was stopped")
        stack.run("down", "--remove-orphans")
        say("stopped; the data stays (`make clean` removes it)")


def clean(stack: Compose, given: argparse.Namespace) -> None:
    with _found(stack) as found:
        if found is None:
            say(f"nothing to remove: no {stack.env_file} names a stack in containers")
            return
        identity.refuse_foreign(found, stack.env_file, "nothing was removed")
        if not envfile.names_folder(stack.env_file):
            raise StackError(
                f"nothing was removed: {stack.env_file} does not say for which folder it was made ({envfile.HOME})."
                f" It may be a copy, and the data of the project {found.project} may belong to its original."
                " If the data belongs here, `make up` writes the folder into it; `make clean` works from then on"
            )
        _remove(stack, found, given)


@contextmanager
def _found(stack: Compose) -> Iterator[Identity | None]:
    """Give the stack of this folder while no other command changes it; without a stack, no file is made either."""
    if identity.find(stack.home, stack.env_file) is None:
        yield None
        return
    with stack.alone():
        yield identity.find(stack.home, stack.env_file)


def _remove(stack: Compose, found: Identity, given: argparse.Namespace) -> None:
    volumes, images = [volume.name for volume in identity.volumes(found.project)], stack.images()
    files = [file for file in (stack.users, stack.secrets, *_env_file(stack)) if file.exists()]
    things = [*(f"volume {name}" for name in volumes), *(f"image {name}" for name in images), *files]
    commands.confirm_removal(things, given)
    stack.run("down", "--remove-orphans", "--volumes")
    if images:
        subprocess.run(["docker", "image", "rm", *images], capture_output=True)
    for folder in (stack.users, stack.secrets):
        shutil.rmtree(folder, ignore_errors=True)
    envfile.remove(stack.env_file, identity.PROJECT, identity.STACK_ID)
    for file in (*_env_file(stack), stack.home / locking.NAME):
        file.unlink(missing_ok=True)
    say("removed")


def _env_file(stack: Compose) -> list[Path]:
    """Return it unless a stack without containers still needs its passwords."""
    is_needed = (stack.home / ".local").exists() or (stack.home / MARKER).exists()
    return [] if is_needed else [stack.env_file]


def status(stack: Compose, given: argparse.Namespace) -> int:
    stack.run("ps", "--all")
    return 0 if commands.show_health(stack.settings) else 3


def logs(stack: Compose, given: argparse.Namespace) -> None:
    follow = ["--follow"] if given.follow else []
    chosen = [given.program] if given.program else []
    stack.run("logs", "--tail", "100", *follow, *chosen)


COMMANDS: dict[str, commands.Command] = {
    "up": up,
    "down": down,
    "clean": clean,
    "env": env,
    "status": status,
    "logs": logs,
}
