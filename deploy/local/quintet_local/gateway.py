"""nginx: its configuration from the template, its users, and how it is asked."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import requests

from quintet_local import binaries
from quintet_local.layout import Layout
from quintet_local.progress import StackError
from quintet_local.supervise import Program

NAME = "nginx"
ASK_SECONDS = 5


class Gateway:
    """The door of one stack."""

    def __init__(self, layout: Layout, settings: Mapping[str, str]) -> None:
        self.layout = layout
        self.settings = settings
        self.port = int(settings["GATEWAY_PORT"])
        self.sources = layout.checkout / "gateway"
        self.configuration = layout.home / "nginx.conf"
        self.run = layout.run / NAME

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def url(self) -> str:
        user, password = self.settings["ADMIN_USER"], self.settings["ADMIN_PASSWORD"]
        return f"http://{user}:{password}@127.0.0.1:{self.port}"

    def program(self) -> Program:
        return Program(NAME, self._command(self.configuration), stop_signal="QUIT")

    def prepare(self) -> bool:
        """Brings the administrator and nginx.conf up to the .env; whether a running nginx has to reload."""
        self.run.mkdir(mode=0o700, exist_ok=True)
        administrator = ["add", self.settings["ADMIN_USER"], "--role", "admin"]
        self._tool("users.py", *administrator, PASSWORD=self.settings["ADMIN_PASSWORD"])
        wanted = self._tool("render.py", **self.template_values())
        if self.configuration.exists() and self.configuration.read_text() == wanted:
            return False
        new = self.configuration.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(wanted)
        checked = subprocess.run([*self._command(new), "-t", "-q"], capture_output=True, text=True)
        if checked.returncode:
            raise StackError(f"nginx refuses its configuration ({new}):\n{checked.stderr}")
        new.replace(self.configuration)
        return True

    def template_values(self) -> dict[str, str]:
        """What the template needs; anything else it knows can be set in the .env."""
        return {
            **self.settings,
            "USER_LINE": "user root root;" if os.getuid() == 0 else "",
            "RUN_DIR": str(self.run),
            "SOCKETS_DIR": str(self.layout.run),
            "USERS_DIR": str(self.layout.users),
            "SWAGGER_DIR": str(binaries.package("flask_swagger_ui") / "dist"),
            "LISTEN": f"127.0.0.1:{self.port}",
            # A pipe to the supervisor, which turns the log over.
            "ACCESS_LOG": "/dev/stdout",
        }

    def change_users(self, *arguments: str) -> bool:
        return change_users(self._called("users.py", *arguments), self._users())

    def health(self) -> Mapping[str, Any]:
        return ask_health(self.address, self.settings)

    def _command(self, configuration: Path) -> list[str]:
        return [str(binaries.nginx()), "-p", f"{self.layout.home}/", "-c", str(configuration), "-e", "stderr"]

    def _called(self, tool: str, *arguments: str) -> list[str]:
        return [sys.executable, str(self.sources / tool), *arguments]

    def _users(self) -> dict[str, str]:
        return {"GATEWAY_USERS_DIR": str(self.layout.users), "GATEWAY_USERS_MODE": "600"}

    def _tool(self, tool: str, *arguments: str, **environment: str) -> str:
        command = self._called(tool, *arguments)
        done = subprocess.run(command, env=environment | self._users(), capture_output=True, text=True)
        if done.returncode:
            raise StackError(f"gateway/{tool} failed:\n{done.stdout}{done.stderr}")
        return done.stdout


def change_users(tool: Sequence[str], environment: Mapping[str, str]) -> bool:
    """With gateway/users.py, which may ask for a password, and whose words are shown.

    Whether the user was there before: he may have live streams as who he was, which only a reload of nginx ends.
    """
    done = subprocess.run(tool, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True)
    print(done.stdout, end="", flush=True)
    if done.returncode:
        raise StackError("nothing was changed")
    return not done.stdout.startswith("added ")


def ask_health(address: str, settings: Mapping[str, str]) -> Mapping[str, Any]:
    """What /health says; its status is "no answer" while the gateway itself gives none."""
    who = settings["ADMIN_USER"], settings["ADMIN_PASSWORD"]
    try:
        answer = requests.get(f"{address}/health", auth=who, timeout=ASK_SECONDS)
        body = answer.json()
    except (requests.RequestException, ValueError) as error:
        return {"status": "no answer", "detail": repr(error)}
    return body if isinstance(body, dict) else {"status": f"HTTP {answer.status_code}", "detail": body}
