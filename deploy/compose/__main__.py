"""`python deploy/compose up`: the stack in containers, on whatever Docker engine answers."""

import argparse
import hashlib
import os
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(CHECKOUT / "deploy" / "local"))

from quintet_local import commands, envfile, loading, ports, services  # noqa: E402
from quintet_local.gateway import ask_health, change_users  # noqa: E402
from quintet_local.progress import StackError, say, wait_until  # noqa: E402

HEALTHY_WITHIN_SECONDS = 180
# The gateway's user reads them inside its container; they hold hashes only.
USERS_MODE = "644"


class Compose:
    """One stack: the developer's, or the one that STACK_DIR names, with its own .env, users and volumes."""

    def __init__(self) -> None:
        given = os.environ.get("STACK_DIR")
        self.home = Path(given).resolve() if given else CHECKOUT
        self.env_file = self.home / ".env"
        self.users = self.home / ".users"
        suffix = "-" + hashlib.sha256(os.fsencode(self.home)).hexdigest()[:12] if given else ""
        self.project = f"quintet{suffix}"
        self.words = services.discover(CHECKOUT)

    @property
    def settings(self) -> dict[str, str]:
        settings = envfile.load(self.env_file)
        if "ADMIN_PASSWORD" not in settings:
            raise StackError("there is no stack here yet: `make up` makes one")
        return settings

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.settings['GATEWAY_PORT']}"

    def command(self, *arguments: str) -> list[str]:
        where = ["--project-directory", str(CHECKOUT), "--project-name", self.project]
        return [
            "docker",
            "compose",
            *where,
            "--env-file",
            str(self.env_file),
            "--progress",
            "plain",
            *arguments,
        ]

    def run(self, *arguments: str) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        if subprocess.run(self.command(*arguments), env=self.environment()).returncode:
            raise StackError(f"`docker compose {' '.join(arguments)}` failed: see above")

    def end_streams(self) -> None:
        """Live ones of whoever was let in before, by a reload; not with `run`, which would tell of a gateway killed."""
        done = subprocess.run(
            self.command("kill", "--signal", "HUP", "gateway"), env=self.environment(), capture_output=True, text=True
        )
        if done.returncode:
            raise StackError(f"the gateway did not reload:\n{done.stderr}")

    def environment(self) -> dict[str, str]:
        return {**os.environ, "GATEWAY_USERS_DIR": str(self.users), "COMPOSE_PROJECT_NAME": self.project}

    def change_users(self, *arguments: str, **environment: str) -> bool:
        self.users.mkdir(mode=0o755, exist_ok=True)
        where = {"GATEWAY_USERS_DIR": str(self.users), "GATEWAY_USERS_MODE": USERS_MODE}
        tool = [sys.executable, str(CHECKOUT / "gateway" / "users.py"), *arguments]
        return change_users(tool, {**where, **environment})

    def volumes(self) -> list[str]:
        label = f"label=com.docker.compose.project={self.project}"
        listed = subprocess.run(["docker", "volume", "ls", "-q", "--filter", label], capture_output=True, text=True)
        return listed.stdout.split()

    def is_healthy(self) -> bool:
        return ask_health(self.address, self.settings).get("status") == "OK"


def up(stack: Compose, given: argparse.Namespace) -> None:
    stack.home.mkdir(parents=True, exist_ok=True)
    if "POSTGRES_PASSWORD" not in envfile.load(stack.env_file) and (volumes := stack.volumes()):
        raise StackError(
            f"the data of an earlier stack is here (volumes {' '.join(volumes)}), and the passwords to it are not:"
            f" put its .env back as {stack.env_file}, or remove that data with `make clean`"
        )
    settings = envfile.ensure(stack.env_file, stack.words, ports.first_free_from)
    user, password = settings["ADMIN_USER"], settings["ADMIN_PASSWORD"]
    stack.change_users("add", user, "--role", "admin", PASSWORD=password)
    say("building the images that have changed")
    stack.run("build", "--quiet")
    say("starting the containers")
    start(stack)
    wait_until(
        "the gateway finds every service healthy",
        stack.is_healthy,
        HEALTHY_WITHIN_SECONDS,
        advice=lambda: "look at `make status` and `make logs S=<container>`",
    )
    commands.say_where(stack.address, settings)


def start(stack: Compose) -> None:
    try:
        stack.run("up", "--detach", "--remove-orphans")
    except StackError as problem:
        prepares = ["roles", *(f"{word}-migrate" for word in stack.words)]
        stack.run("logs", "--tail", "3", *prepares)
        raise StackError(
            f"{problem}\nIf a container that comes first has failed, its last lines are here. `password authentication"
            f" failed` means that the data was made with another .env than {stack.env_file}: put that one back, or"
            " remove the data with `make clean`"
        ) from None


def down(stack: Compose, given: argparse.Namespace) -> None:
    stack.run("down", "--remove-orphans")
    say("stopped; the data stays (`make clean` removes it)")


def clean(stack: Compose, given: argparse.Namespace) -> None:
    stack.home.mkdir(parents=True, exist_ok=True)
    envfile.ensure(stack.env_file, stack.words, ports.first_free_from)  # without one the file of the stack is not read
    stack.run("down", "--remove-orphans", "--volumes")
    for left in [stack.env_file, *stack.users.glob("*"), *stack.users.glob(".*")]:
        left.unlink(missing_ok=True)
    if stack.users.is_dir():
        stack.users.rmdir()
    say(f"removed the volumes, {stack.users} and {stack.env_file}")


def url(stack: Compose, given: argparse.Namespace) -> None:
    settings = stack.settings
    print(f"http://{settings['ADMIN_USER']}:{settings['ADMIN_PASSWORD']}@127.0.0.1:{settings['GATEWAY_PORT']}")


def status(stack: Compose, given: argparse.Namespace) -> int:
    stack.run("ps", "--all")
    health = ask_health(stack.address, stack.settings)
    commands.show_health(stack.address, health)
    return 0 if health["status"] == "OK" else 3


def logs(stack: Compose, given: argparse.Namespace) -> None:
    follow = ["--follow"] if given.follow else []
    chosen = [given.program] if given.program else []
    stack.run("logs", "--tail", "100", *follow, *chosen)


def user(stack: Compose, given: argparse.Namespace) -> None:
    if given.name == stack.settings["ADMIN_USER"]:
        raise StackError(f"change ADMIN_PASSWORD in {stack.env_file} instead, then `make up`")
    role = ["--role", given.role] if given.role else []
    if stack.change_users("add", given.name, *role):
        stack.end_streams()


def user_remove(stack: Compose, given: argparse.Namespace) -> None:
    if stack.change_users("remove", given.name):
        stack.end_streams()


def dead_letters(stack: Compose, given: argparse.Namespace) -> None:
    for word in stack.words:
        stack.run("exec", "-T", f"{word}-worker", "python", "-m", f"{word}_service", "dead-letters")


def retry(stack: Compose, given: argparse.Namespace) -> None:
    word = given.queue.partition(".")[0]
    if word not in stack.words:
        raise StackError(f"no service has a queue {given.queue!r}: `make dead-letters` lists them")
    stack.run("exec", "-T", f"{word}-worker", "python", "-m", f"{word}_service", "retry", given.queue)


def load_data(stack: Compose, given: argparse.Namespace) -> None:
    loading.load(stack.address, stack.settings, given.files)


COMMANDS: dict[str, commands.Command] = {
    "up": up,
    "down": down,
    "clean": clean,
    "url": url,
    "status": status,
    "logs": logs,
    "user": user,
    "user-remove": user_remove,
    "dead-letters": dead_letters,
    "retry": retry,
    "load-data": load_data,
}


if __name__ == "__main__":
    raise SystemExit(commands.run("deploy/compose", __doc__, COMMANDS, Compose))
