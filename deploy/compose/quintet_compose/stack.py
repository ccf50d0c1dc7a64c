"""One stack in containers: where its files are, and how `docker compose` is called for it."""

import os
import subprocess
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any

from quintet_compose import identity
from quintet_compose.identity import Identity
from quintet_local import envfile, locking, services, settings
from quintet_local.gateway import ask_health
from quintet_local.layout import CHECKOUT
from quintet_local.progress import NO_STACK, StackError
from quintet_local.watching import Program

# The gateway's user reads them inside its container; they hold hashes only.
USERS_MODE = "644"
LOG_LINES = "15"


class Compose:
    """The developer's stack, or the one that STACK_DIR names, with its own .env, users and volumes."""

    def __init__(self) -> None:
        stack_dir = os.environ.get("STACK_DIR")
        self.home = Path(stack_dir).resolve() if stack_dir else CHECKOUT
        self.env_file = self.home / ".env"
        self.users = self.home / ".users"
        self.secrets = self.home / ".secrets"
        self.words = services.discover(CHECKOUT)

    @cached_property
    def identity(self) -> Identity:
        found = identity.find(self.home, self.env_file)
        if found is None:
            raise StackError(NO_STACK)
        return found

    def alone(self) -> AbstractContextManager[None]:
        return locking.alone(self.home)

    @property
    def settings(self) -> dict[str, str]:
        return envfile.load_existing(self.env_file)

    def run(self, *arguments: str) -> None:
        """Run it without standard input: newer versions of Compose would ask whether to recreate volumes."""
        command = self._command(*arguments)
        if subprocess.run(command, env=self._environment(), stdin=subprocess.DEVNULL).returncode:
            raise StackError(f"`docker compose {' '.join(arguments)}` failed: see above")

    def ask(self, *arguments: str) -> str:
        """Return what it prints, and nothing of it to the person."""
        done = subprocess.run(self._command(*arguments), env=self._environment(), capture_output=True, text=True)
        if done.returncode:
            raise StackError(f"`docker compose {' '.join(arguments)}` failed:\n{done.stderr}")
        return done.stdout

    def reload_gateway(self) -> bool:
        """Return whether there is one that runs."""
        is_up = "gateway" in self.ask("ps", "--services", "--status", "running").split()
        if is_up:
            self.ask("kill", "--signal", "HUP", "gateway")
        return is_up

    def users_tool(self) -> dict[str, str]:
        """Return the environment for gateway/users.py."""
        return {"GATEWAY_USERS_DIR": str(self.users), "GATEWAY_USERS_MODE": USERS_MODE}

    def ask_worker(self, word: str, *arguments: str) -> None:
        self.run("exec", "-T", f"{word}-worker", "python", "-m", f"{word}_service", *arguments)

    def end_of_log(self, name: str) -> str:
        return f"the end of its log:\n{self.ask('logs', '--no-log-prefix', '--tail', LOG_LINES, name)}"

    def images(self) -> list[str]:
        """Return the images that only this stack uses: those with its name as their tag."""
        form = "{{.Repository}}:{{.Tag}}"
        filters = ["--filter", f"reference=quintet-*:{self.identity.project}"]
        listed = subprocess.run(["docker", "image", "ls", *filters, "--format", form], capture_output=True, text=True)
        return sorted(listed.stdout.split())

    def programs(self) -> list[Program]:
        """Return what the containers do."""
        label = f"label=com.docker.compose.project={self.identity.project}"
        ids = subprocess.run(["docker", "ps", "--all", "--quiet", "--filter", label], capture_output=True, text=True)
        form = (
            '{{index .Config.Labels "com.docker.compose.service"}} {{.RestartCount}} {{.State.Status}}'
            " {{with .State.Health}}{{.Status}}{{end}}"
        )
        lines = subprocess.run(
            ["docker", "inspect", "--format", form, *ids.stdout.split()], capture_output=True, text=True
        ).stdout.splitlines()
        found = (line.split(" ", 2) for line in lines)
        return [
            Program(name, state, starts, is_failing=state.startswith("restarting")) for name, starts, state in found
        ]

    def health(self) -> Mapping[str, Any]:
        return ask_health(self.settings)

    def is_healthy(self) -> bool:
        return self.health().get("status") == "OK"

    def _command(self, *arguments: str) -> list[str]:
        return [
            "docker",
            "compose",
            "--project-directory",
            str(CHECKOUT),
            "--project-name",
            self.identity.project,
            "--env-file",
            str(self.env_file),
            "--progress",
            "plain",
            *arguments,
        ]

    def _environment(self) -> dict[str, str]:
        told_to_programs = settings.told_to_programs(self.words)
        return {
            **{name: value for name, value in os.environ.items() if name not in told_to_programs},
            "GATEWAY_USERS_DIR": str(self.users),
            "SECRETS_DIR": str(self.secrets),
            identity.PROJECT: self.identity.project,
            identity.STACK_ID: self.identity.stack_id,
        }
