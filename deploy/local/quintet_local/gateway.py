"""nginx and the console: configuration, users and health."""

import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
from urllib3.exceptions import InsecureRequestWarning

from quintet_local import binaries, envfile
from quintet_local.layout import CHECKOUT, Layout
from quintet_local.progress import StackError, wait_until
from quintet_local.settings import console_variables, gateway_variables
from quintet_local.supervise import Program

NAME = "nginx"
CONSOLE = "console"
REQUEST_TIMEOUT_SECONDS = 5
_ACTION_TIMEOUT_SECONDS = 30
SOURCE_DIR = CHECKOUT / "gateway"


class Gateway:
    """nginx and the console of one stack."""

    def __init__(self, layout: Layout, settings: Mapping[str, str], services: Sequence[str]) -> None:
        self.layout = layout
        self.settings = settings
        self.services = services
        self.configuration = layout.home / "nginx.conf"
        self.run_dir = layout.run / NAME

    @property
    def ports(self) -> dict[str, int]:
        """Return the ports by their names in .env, which has all of them after `make up` of this version."""
        return {name: int(self.settings[name]) for name in envfile.PORT_VARIABLES}

    @property
    def address(self) -> str:
        return address(self.settings)

    def console_standby(self) -> Program:
        """Return the program that takes the requests while `make upgrade` replaces the console."""
        socket = self.layout.socket(f"{CONSOLE}-standby")
        console = self.programs()[0]
        return replace(
            console, name=f"{CONSOLE}-standby", environment={**console.environment, "BIND": f"unix:{socket}"}
        )

    def select(self, web: str, *, standby: bool) -> None:
        """Let nginx send new requests for a web program to its standby, or to the program itself."""
        self._standby_dir.mkdir(mode=0o700, exist_ok=True)
        file = self._standby_dir / web
        if standby:
            file.touch()
        else:
            file.unlink(missing_ok=True)

    def selected_standbys(self) -> list[str]:
        """Return the web programs whose standby receives their requests."""
        return [file.name for file in self._standby_dir.glob("*")]

    def deselect_standbys(self) -> None:
        for web in self.selected_standbys():
            self.select(web, standby=False)

    @property
    def _standby_dir(self) -> Path:
        return self.run_dir / "standby"

    def programs(self) -> list[Program]:
        environment = {
            "BIND": f"unix:{self.layout.socket(CONSOLE)}",
            "SERVICES": ",".join(self.services),
            "USERS_FILE": str(self.layout.users / "roles.conf"),
            "ACCESS_LOG_FILE": str(self.layout.log_of(NAME)),
            # The console adds and removes users as `make user` and `make user-remove` do.
            "USERS_PROGRAM": str(CHECKOUT / "deploy" / "local"),
            **self.layout.command_environment,
            "SERVICE_URL": f"unix:{self.layout.run}/{{service}}.sock",
            "PYTHONUNBUFFERED": "1",
            "WEB_CONCURRENCY": "1",
            **{name: self.settings[name] for name in console_variables() if name in self.settings},
        }
        console = [sys.executable, "-m", "console_service", "web"]
        launcher = [sys.executable, "-m", "quintet_local.nginx", str(self.layout.programs_lock), str(self.run_dir)]
        return [
            Program(CONSOLE, console, environment, orphan_signal="QUIT"),
            Program(NAME, [*launcher, *self._command(self.configuration)], stop_signal="QUIT", orphan_signal="TERM"),
        ]

    def prepare(self) -> None:
        """Update the users and nginx.conf from .env. A running nginx must be reloaded afterwards."""
        self.run_dir.mkdir(mode=0o700, exist_ok=True)
        set_administrator(self.settings, self.users_environment())
        new = self.configuration.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(self.render())
        result = subprocess.run([*self._command(new), "-t", "-q"], capture_output=True, text=True)
        if result.returncode:
            raise StackError(f"the gateway could not be started: nginx rejects {new}:\n{result.stderr}")
        new.replace(self.configuration)

    def render(self, **overrides: str) -> str:
        """Return nginx.conf; `overrides` replace variables of this stack."""
        deployment_settings = {
            "SERVICES": ",".join(self.services),
            "USER_LINE": "user root root;" if os.getuid() == 0 else "",
            "RUN_DIR": str(self.run_dir),
            "SOCKETS_DIR": str(self.layout.run),
            "USERS_DIR": str(self.layout.users),
            "SWAGGER_DIR": str(binaries.package("flask_swagger_ui") / "dist"),
            "HTMX_DIR": str(binaries.package("django_htmx") / "static" / "django_htmx"),
            "UPLOT_DIR": str(binaries.package("uplot") / "static"),
            "LISTEN": f"127.0.0.1:{self.ports['GATEWAY_PORT']}",
            "METRICS_LISTEN": f"127.0.0.1:{self.ports['METRICS_PORT']}",
            # Standard output is a pipe to the supervisor, which rotates the log.
            "ACCESS_LOG": "/dev/stdout",
            "NGINX": str(binaries.nginx()),
            "PATH": os.environ["PATH"],
        }
        operator_settings = {name: self.settings[name] for name in gateway_variables() if name in self.settings}
        result = subprocess.run(
            ["sh", str(SOURCE_DIR / "render.sh")],
            env=operator_settings | deployment_settings | overrides,
            capture_output=True,
            text=True,
        )
        if result.returncode:
            raise StackError(f"nginx.conf could not be rendered by gateway/render.sh:\n{result.stderr}")
        return result.stdout

    def health(self) -> Mapping[str, Any]:
        return fetch_health(self.settings)

    def users_environment(self) -> dict[str, str]:
        return {"GATEWAY_USERS_DIR": str(self.layout.users), "GATEWAY_USERS_MODE": "600"}

    def _command(self, configuration: Path) -> list[str]:
        return [str(binaries.nginx()), "-p", f"{self.layout.home}/", "-c", str(configuration), "-e", "stderr"]


def set_administrator(settings: Mapping[str, str], users_environment: Mapping[str, str]) -> None:
    """Update the administrator from .env. Report and remove malformed lines in the users' files."""
    password = {"ADMIN_PASSWORD": settings["ADMIN_PASSWORD"]}
    result = _run_users_script(["administrator", settings["ADMIN_USER"]], {**users_environment, **password})
    if result.returncode:
        raise StackError(result.stderr.strip())
    print(result.stderr, end="", file=sys.stderr, flush=True)


def change_users(
    arguments: Sequence[str],
    settings: Mapping[str, str],
    users_environment: Mapping[str, str],
    reload: Callable[[], bool],
) -> None:
    """Run gateway/users.py, reload nginx, and print the output of the script once the change is in effect.

    `reload` returns whether nginx is running. A reload also ends the live streams of a removed user.
    """
    result = _run_users_script(arguments, users_environment)
    print(result.stderr, end="", file=sys.stderr, flush=True)
    if result.returncode:
        raise StackError("nothing was changed")
    added = re.fullmatch(r".* (\S+) \((\w+)\), password: (\S+)\n", result.stdout)
    if reload() and added:
        name, role, password = added.groups()
        wait_until(f"{name}: loaded by the gateway", lambda: _has_role(settings, name, password, role), 60)
    print(result.stdout, end="", flush=True)


def list_users(users_environment: Mapping[str, str]) -> None:
    print(_run_users_script(["list"], users_environment).stdout, end="")


# Requests without an effect, and for each role whether they are forbidden.
_PROBES = (("GET", "/nothing"), ("POST", "/nothing"), ("POST", "/invariants"), ("GET", "/source/pipelines"))
_FORBIDDEN = {
    "admin": [False, False, False, False],
    "writer": [False, False, True, True],
    "reader": [False, True, True, True],
    "runner": [True, True, True, False],
}


def _has_role(settings: Mapping[str, str], name: str, password: str, role: str) -> bool:
    """Return whether nginx has loaded the user's password and role."""
    statuses = [_request(settings, method, path, (name, password)).status_code for method, path in _PROBES]
    return 401 not in statuses and [status == 403 for status in statuses] == _FORBIDDEN[role]


def _request(
    settings: Mapping[str, str],
    method: str,
    path: str,
    user: tuple[str, str],
    timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
) -> requests.Response:
    with warnings.catch_warnings():
        # The certificate is issued for the public name of the gateway, but this request uses the loopback address.
        warnings.simplefilter("ignore", InsecureRequestWarning)
        return requests.request(method, f"{address(settings)}{path}", auth=user, timeout=timeout_seconds, verify=False)


def _run_users_script(arguments: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SOURCE_DIR / "users.py"), *arguments]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)


def address(settings: Mapping[str, str]) -> str:
    scheme = "https" if settings.get("TLS_CERT") else "http"
    return f"{scheme}://127.0.0.1:{settings['GATEWAY_PORT']}"


def address_with_password(settings: Mapping[str, str]) -> str:
    scheme, _, host = address(settings).partition("://")
    return f"{scheme}://{settings['ADMIN_USER']}:{quote(settings['ADMIN_PASSWORD'], safe='')}@{host}"


def fetch_queues(settings: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Return the queues that the services consume, and the services whose queues are unknown.

    Workers report their queues, and /health returns the reports; without a live worker, a service's report is empty.
    """
    health = fetch_health(settings)
    services: Mapping[str, Mapping[str, Any]] = health.get("services", {})
    if not services:
        return [], ["all services"]
    reports = {name: report.get("dependencies", {}).get("rabbitmq", {}) for name, report in services.items()}
    queues = sorted(queue for report in reports.values() for queue in report.get("dead_letters", {}))
    return queues, [name for name, report in reports.items() if not report.get("workers_alive")]


def fetch_json(settings: Mapping[str, str], method: str, path: str) -> Any:
    """Send a request as the administrator and return the response's JSON; raise StackError if it fails."""
    user = settings["ADMIN_USER"], settings["ADMIN_PASSWORD"]
    try:
        response = _request(settings, method, path, user, _ACTION_TIMEOUT_SECONDS)
        body = response.json()
    except (requests.RequestException, ValueError) as error:
        raise StackError(f"the gateway does not respond: is the stack running? ({error!r})") from None
    if not response.ok:
        raise StackError(body.get("detail", f"HTTP {response.status_code}"))
    return body


def fetch_health(settings: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the response of /health, or one with the status "unreachable" if the gateway does not return JSON."""
    user = settings["ADMIN_USER"], settings["ADMIN_PASSWORD"]
    try:
        response = _request(settings, "GET", "/health", user)
        body = response.json()
    except (requests.RequestException, ValueError) as error:
        return {"status": "unreachable", "detail": repr(error)}
    return body if isinstance(body, dict) else {"status": f"HTTP {response.status_code}", "detail": body}
