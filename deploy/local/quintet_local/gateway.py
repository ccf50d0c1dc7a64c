"""nginx and the console: configuration, users, health."""

import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
from urllib3.exceptions import InsecureRequestWarning

from quintet_local import binaries
from quintet_local.layout import CHECKOUT, Layout
from quintet_local.progress import StackError, wait_until
from quintet_local.settings import console_variables, gateway_variables
from quintet_local.supervise import Program

NAME = "nginx"
CONSOLE = "console"
ASK_SECONDS = 5
SOURCES = CHECKOUT / "gateway"


class Gateway:
    """The entry point of one stack."""

    def __init__(self, layout: Layout, settings: Mapping[str, str], services: Sequence[str]) -> None:
        self.layout = layout
        self.settings = settings
        self.services = services
        self.port = int(settings["GATEWAY_PORT"])
        self.configuration = layout.home / "nginx.conf"
        self.run = layout.run / NAME

    @property
    def address(self) -> str:
        return address(self.settings)

    def programs(self) -> list[Program]:
        environment = {
            "BIND": f"unix:{self.layout.socket(CONSOLE)}",
            "SERVICES": ",".join(self.services),
            "SERVICE_URL": f"unix:{self.layout.run}/{{service}}.sock",
            "PYTHONUNBUFFERED": "1",
            "WEB_CONCURRENCY": "1",
            **{name: self.settings[name] for name in console_variables() if name in self.settings},
        }
        console = [sys.executable, "-m", "console_service", "web"]
        start = [sys.executable, "-m", "quintet_local.nginx", str(self.layout.programs_lock), str(self.run)]
        return [
            Program(CONSOLE, console, environment, orphan_signal="QUIT"),
            Program(NAME, [*start, *self._command(self.configuration)], stop_signal="QUIT", orphan_signal="TERM"),
        ]

    def prepare(self) -> None:
        """Bring the users and nginx.conf up to .env. A running nginx has to reload afterwards."""
        self.run.mkdir(mode=0o700, exist_ok=True)
        set_administrator(self.settings, self.users_tool())
        wanted = self.render()
        new = self.configuration.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(wanted)
        checked = subprocess.run([*self._command(new), "-t", "-q"], capture_output=True, text=True)
        if checked.returncode:
            raise StackError(f"nginx refuses its configuration ({new}):\n{checked.stderr}")
        new.replace(self.configuration)

    def render(self, **changed: str) -> str:
        """Return nginx.conf; `changed` variables have other values than this stack's."""
        facts = {
            "SERVICES": ",".join(self.services),
            "USER_LINE": "user root root;" if os.getuid() == 0 else "",
            "RUN_DIR": str(self.run),
            "SOCKETS_DIR": str(self.layout.run),
            "USERS_DIR": str(self.layout.users),
            "SWAGGER_DIR": str(binaries.package("flask_swagger_ui") / "dist"),
            "LISTEN": f"127.0.0.1:{self.port}",
            # A pipe to the supervisor, which rotates the log.
            "ACCESS_LOG": "/dev/stdout",
            "NGINX": str(binaries.nginx()),
            "PATH": os.environ["PATH"],
        }
        chosen = {name: self.settings[name] for name in gateway_variables() if name in self.settings}
        done = subprocess.run(
            ["sh", str(SOURCES / "render.sh")], env=chosen | facts | changed, capture_output=True, text=True
        )
        if done.returncode:
            raise StackError(f"gateway/render.sh failed:\n{done.stderr}")
        return done.stdout

    def health(self) -> Mapping[str, Any]:
        return ask_health(self.settings)

    def users_tool(self) -> dict[str, str]:
        return {"GATEWAY_USERS_DIR": str(self.layout.users), "GATEWAY_USERS_MODE": "600"}

    def _command(self, configuration: Path) -> list[str]:
        return [str(binaries.nginx()), "-p", f"{self.layout.home}/", "-c", str(configuration), "-e", "stderr"]


def set_administrator(settings: Mapping[str, str], users: Mapping[str, str]) -> None:
    """Bring the administrator up to .env. Malformed lines in the users' files are reported and removed."""
    password = {"ADMIN_PASSWORD": settings["ADMIN_PASSWORD"]}
    done = _users_tool(["administrator", settings["ADMIN_USER"]], {**users, **password})
    if done.returncode:
        raise StackError(done.stderr.strip())
    print(done.stderr, end="", file=sys.stderr, flush=True)


def change_users(
    arguments: Sequence[str], settings: Mapping[str, str], users: Mapping[str, str], reload: Callable[[], bool]
) -> None:
    """Run gateway/users.py, let nginx reload the roles, and show what the tool printed once they are in force.

    `reload` tells whether nginx runs. A reload also ends the live streams of a removed user.
    """
    done = _users_tool(arguments, users)
    print(done.stderr, end="", file=sys.stderr, flush=True)
    if done.returncode:
        raise StackError("nothing was changed")
    given = re.fullmatch(r".* (\S+) \((\w+)\), password: (\S+)\n", done.stdout)
    if reload() and given:
        name, role, password = given.groups()
        wait_until(f"the gateway knows {name}", lambda: _has_role(settings, name, password, role), 10)
    print(done.stdout, end="", flush=True)


def list_users(users: Mapping[str, str]) -> None:
    print(_users_tool(["list"], users).stdout, end="")


# Requests without an effect, and which of them a role is refused.
_PROBES = (("GET", "/nothing"), ("POST", "/nothing"), ("POST", "/invariants"), ("GET", "/source/pipelines"))
_REFUSED = {
    "admin": [False, False, False, False],
    "writer": [False, False, True, True],
    "reader": [False, True, True, True],
    "runner": [True, True, True, False],
}


def _has_role(settings: Mapping[str, str], name: str, password: str, role: str) -> bool:
    """Tell whether nginx has read the user's password and role."""
    statuses = [_send(settings, method, path, (name, password)).status_code for method, path in _PROBES]
    return 401 not in statuses and [status == 403 for status in statuses] == _REFUSED[role]


def _send(settings: Mapping[str, str], method: str, path: str, user: tuple[str, str]) -> requests.Response:
    with warnings.catch_warnings():
        # A certificate is for the public name of the gateway; here it is called by its address on this machine.
        warnings.simplefilter("ignore", InsecureRequestWarning)
        return requests.request(method, f"{address(settings)}{path}", auth=user, timeout=ASK_SECONDS, verify=False)


def _users_tool(arguments: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SOURCES / "users.py"), *arguments]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)


def address(settings: Mapping[str, str]) -> str:
    scheme = "https" if settings.get("TLS_CERT") else "http"
    return f"{scheme}://127.0.0.1:{settings['GATEWAY_PORT']}"


def address_with_password(settings: Mapping[str, str]) -> str:
    scheme, _, host = address(settings).partition("://")
    return f"{scheme}://{settings['ADMIN_USER']}:{quote(settings['ADMIN_PASSWORD'], safe='')}@{host}"


def ask_health(settings: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the response of /health; its status is "no answer" while the gateway gives none."""
    user = settings["ADMIN_USER"], settings["ADMIN_PASSWORD"]
    try:
        answer = _send(settings, "GET", "/health", user)
        body = answer.json()
    except (requests.RequestException, ValueError) as error:
        return {"status": "no answer", "detail": repr(error)}
    return body if isinstance(body, dict) else {"status": f"HTTP {answer.status_code}", "detail": body}
