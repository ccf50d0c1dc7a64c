"""One stack in containers: its files, and the calls of `docker compose` for it."""

import argparse
import os
import subprocess
import tempfile
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any

from quintet_compose import identity, secret_files
from quintet_compose.identity import Identity
from quintet_local import commands, envfile, locking, services, settings
from quintet_local.gateway import fetch_health, set_administrator
from quintet_local.layout import CHECKOUT
from quintet_local.progress import NO_STACK, StackError
from quintet_local.tools import Tool
from quintet_local.watching import ProgramState, StackWatcher

# The gateway's user must be able to read the files in its container; they contain only hashes.
USERS_MODE = "644"
LOG_LINES = "15"
# `docker compose down` ignores the containers of profiles that are not enabled.
ALL_PROFILES = ("--profile", "*")
RELOAD_COMMAND = ("nginx", "-e", "stderr", "-c", "/run/gateway/nginx.conf", "-s", "reload")


class Compose:
    """The checkout's own stack, or the one in STACK_DIR, with its own .env, users and volumes."""

    def __init__(self) -> None:
        stack_dir = os.environ.get("STACK_DIR")
        self.home = Path(stack_dir).resolve() if stack_dir else CHECKOUT
        self.env_file = self.home / ".env"
        self.users = self.home / ".users"
        self.secrets = self.home / ".secrets"
        self.swarm_secrets = self.home / ".swarm-secrets"
        self.service_names = services.discover(CHECKOUT)

    @cached_property
    def identity(self) -> Identity:
        stack_identity = identity.find(self.home, self.env_file)
        if stack_identity is None:
            raise StackError(NO_STACK)
        return stack_identity

    def exclusive_lock(self) -> AbstractContextManager[None]:
        return locking.exclusive_lock(self.home)

    @property
    def settings(self) -> dict[str, str]:
        return settings.load(self.env_file, self.service_names)

    def create_files(self) -> None:
        """Create or update the files that docker-compose.yml reads."""
        commands.bind_env_file(self.env_file)
        self.identity = identity.ensure(self.home, self.env_file)
        settings = commands.ensure_settings(self.env_file, self.service_names)
        secret_files.write(self.secrets, settings, self.service_names)
        set_administrator(settings, self.users_environment())

    def reopened(self) -> "Compose":
        return Compose()

    def update_secrets(self, rotated: Collection[str]) -> None:
        secret_files.update_in_place(self.secrets, self.settings, self.service_names, rotated)

    def set_cache_password(self, password: str) -> None:
        """Set the password of the running Redis, which reads the file with its password only when it is started."""
        # The first command fails if the password has been set before, and the second one if it has not.
        commands = f"AUTH {self.settings['REDIS_PASSWORD']}\nAUTH {password}\nCONFIG SET requirepass {password}\n"
        with tempfile.TemporaryFile() as file:
            file.write(commands.encode())
            file.seek(0)
            output = self._tool("redis-cli", "exec", "-T", "redis", "redis-cli").run(stdin=file).decode()
        if output.strip().splitlines()[-1] != "OK":
            raise StackError(f"the password of Redis could not be replaced:\n{output}")

    def run(self, *arguments: str) -> None:
        """Run `docker compose` without standard input: newer versions would ask whether to recreate volumes."""
        command = self._command(*arguments)
        if subprocess.run(command, env=self._environment(), stdin=subprocess.DEVNULL).returncode:
            raise StackError(f"`docker compose {' '.join(arguments)}` failed: see above")

    def capture(self, *arguments: str) -> str:
        """Run `docker compose` and return its output instead of printing it."""
        result = subprocess.run(self._command(*arguments), env=self._environment(), capture_output=True, text=True)
        if result.returncode:
            raise StackError(f"`docker compose {' '.join(arguments)}` failed:\n{result.stderr}")
        return result.stdout

    def postgres_tool(self, program: str, *arguments: str) -> Tool:
        script = 'PGPASSWORD=$(cat /run/secrets/postgres_password) PGUSER=admin exec "$@"'
        return self._tool(program, "exec", "-T", "postgres", "sh", "-c", script, "sh", program, *arguments)

    def broker_tool(self, *arguments: str) -> Tool:
        return self._tool("rabbitmqctl", "exec", "-T", "rabbitmq", "rabbitmqctl", *arguments)

    def files_tool(self, script: str) -> Tool:
        """Return a shell script for a container of its own, because that of the service may be stopped."""
        run = ("run", "--rm", "--no-deps", "-T", "--entrypoint", "sh", "specstore-worker")
        return self._tool("tar", *run, "-c", f"cd /data && {{ {script}; }}")

    def stop_programs(self) -> None:
        """Stop everything but Postgres and RabbitMQ."""
        programs = [f"{service}-{kind}" for kind in ("web", "worker") for service in self.service_names]
        self.run("stop", "gateway")
        self.run("stop", "console", "redis", *programs)

    def skip_numbers(self, count: int) -> str:
        run = ("run", "--rm", "--no-deps", "-T", "sequence-migrate")
        self.capture(*run)
        return self.capture(*run, "skip", str(count)).strip().splitlines()[-1]

    def reload_gateway(self) -> bool:
        """Reload the gateway, and return whether it is running."""
        is_up = self.is_running("gateway")
        if is_up:
            # After `docker compose kill`, with any signal, the engine would not restart the gateway if it crashed.
            self.capture("exec", "-T", "gateway", *RELOAD_COMMAND)
        return is_up

    def is_running(self, program: str) -> bool:
        return program in self.capture("ps", "--services", "--status", "running").split()

    def users_environment(self) -> dict[str, str]:
        """Return the environment for gateway/users.py."""
        return {"GATEWAY_USERS_DIR": str(self.users), "GATEWAY_USERS_MODE": USERS_MODE}

    def print_logs(self, command: Sequence[str], arguments: argparse.Namespace) -> None:
        commands.print_logs(self._command(*command), self._environment(), arguments)

    def log_tail(self, name: str) -> str:
        return f"the end of the log:\n{self.capture('logs', '--no-log-prefix', '--tail', LOG_LINES, name)}"

    def images(self) -> list[str]:
        """Return the images that only this stack uses: those tagged with its name."""
        template = "{{.Repository}}:{{.Tag}}"
        filters = ["--filter", f"reference=quintet-*:{self.identity.project}"]
        result = subprocess.run(
            ["docker", "image", "ls", *filters, "--format", template], capture_output=True, text=True
        )
        return sorted(result.stdout.split())

    def container_states(self) -> list[ProgramState]:
        label = f"label=com.docker.compose.project={self.identity.project}"
        ids = subprocess.run(["docker", "ps", "--all", "--quiet", "--filter", label], capture_output=True, text=True)
        template = (
            '{{index .Config.Labels "com.docker.compose.service"}} {{.RestartCount}} {{.State.Status}}'
            " {{with .State.Health}}{{.Status}}{{end}}"
        )
        lines = subprocess.run(
            ["docker", "inspect", "--format", template, *ids.stdout.split()], capture_output=True, text=True
        ).stdout.splitlines()
        fields = (line.split(" ", 2) for line in lines)
        return [
            ProgramState(name, state, restarts, is_failing=state.startswith("restarting"))
            for name, restarts, state in fields
        ]

    def health(self) -> Mapping[str, Any]:
        return fetch_health(self.settings)

    def is_healthy(self) -> bool:
        return self.health().get("status") == "OK"

    def wait_until_healthy(self) -> None:
        # `up --wait` does not detect a worker that fails repeatedly, and fails if a web process has ended once.
        StackWatcher(self.container_states, self.log_tail, self.health).wait(
            "all services: healthy",
            self.is_healthy,
            advice=lambda: "run `make status` and `make logs S=<container>` for details",
        )

    def _tool(self, name: str, *arguments: str) -> Tool:
        return Tool(name, self._command(*arguments), self._environment())

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
        env_file_only = settings.env_file_only(self.service_names)
        return {
            **{name: value for name, value in os.environ.items() if name not in env_file_only},
            "GATEWAY_USERS_DIR": str(self.users),
            "SECRETS_DIR": str(self.secrets),
            envfile.PROJECT_VARIABLE: self.identity.project,
            envfile.STACK_ID_VARIABLE: self.identity.stack_id,
        }
