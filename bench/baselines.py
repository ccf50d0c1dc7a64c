"""Applications that the services are compared with, each behind its own gateway: no-op, FastAPI and Django."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import requests

from quintet_local import binaries, ports
from quintet_local.progress import wait_until
from quintet_local.testing import TestStack

HERE = Path(__file__).resolve().parent

# Changes of the gateway's configuration that disable authentication.
_WITHOUT_AUTHENTICATION = {'auth_basic "Quintet";': "auth_basic off;"}

GUNICORN = ["gunicorn", "--bind", "unix:{socket}", "--chdir", str(HERE)]


@dataclass(frozen=True)
class Nginx:
    """An nginx: `command` returns its command line for folder and configuration, `settings` override the stack's."""

    command: Callable[[Path, Path], list[str]]
    settings: Mapping[str, str] = field(default_factory=dict)


def _local_command(folder: Path, conf: Path) -> list[str]:
    return [str(binaries.nginx()), "-p", f"{folder}/", "-e", "stderr", "-c", str(conf)]


LOCAL = Nginx(_local_command)


@contextlib.contextmanager
def noop_behind_gateways(stack: TestStack, folder: Path, nginx: Nginx = LOCAL) -> Iterator[tuple[str, str]]:
    """Yield the addresses of the no-op behind a gateway with authentication and behind one without."""
    options = ["--config", "python:chassis.web.server", "--name", "noop"]
    options += ["--worker-class", "gevent", "--workers", "2"]
    with contextlib.ExitStack() as processes:
        _start_web(processes, folder, [*GUNICORN, *options, "noop_app:app"])
        secured, without_authentication = (
            _start_gateway(processes, stack, folder, name, nginx, path="/sequence") for name in ("gateway", "open")
        )
        yield secured, without_authentication


@contextlib.contextmanager
def django_behind_gateways(stack: TestStack, chart_path: str) -> Iterator[dict[str, str]]:
    """Yield the address of each variant of Django, by name, all with the current charts."""
    addresses = {}
    database = {"DATABASE_URL": stack.admin_database_url}
    subprocess.run([sys.executable, HERE / "django_app.py"], env={**os.environ, **database}, check=True)
    with contextlib.ExitStack() as processes:
        for name, max_age_seconds in (("Django with persistent connections", 60), ("Django with default settings", 0)):
            folder = Path(processes.enter_context(tempfile.TemporaryDirectory(prefix="quintet-bench-")))
            web = [*GUNICORN, "--workers", "2", "--threads", "4", "django_app:app"]
            _start_web(processes, folder, web, {**database, "CONN_MAX_AGE": str(max_age_seconds)})
            addresses[name] = _start_gateway(processes, stack, folder, "gateway", LOCAL, path=chart_path)
        yield addresses


@contextlib.contextmanager
def fastapi_behind_gateway(stack: TestStack) -> Iterator[str]:
    """Yield the address of the FastAPI application, which serves numbers, appends and the current charts."""
    database = {"DATABASE_URL": stack.admin_database_url}
    subprocess.run([sys.executable, HERE / "fastapi_app.py"], env={**os.environ, **database}, check=True)
    with contextlib.ExitStack() as processes:
        folder = Path(processes.enter_context(tempfile.TemporaryDirectory(prefix="quintet-bench-")))
        web = ["uvicorn", "--uds", "{socket}", "--app-dir", str(HERE), "--workers", "2", "--no-access-log"]
        _start_web(processes, folder, [*web, "fastapi_app:app"], database)
        yield _start_gateway(processes, stack, folder, "gateway", LOCAL, path="/sequence")


def _start_web(
    processes: contextlib.ExitStack, folder: Path, module: list[str], environment: Mapping[str, str] | None = None
) -> None:
    """Run a Python module with arguments in place of every service; `{socket}` becomes the path of its socket."""
    socket = folder / "sequence.sock"
    for service in ("event", "factory", "specstore"):
        (folder / f"{service}.sock").symlink_to(socket)
    arguments = [part.replace("{socket}", str(socket)) for part in module]
    _start(processes, [sys.executable, "-m", *arguments], folder / "web.log", environment)


def _start_gateway(
    processes: contextlib.ExitStack, stack: TestStack, folder: Path, name: str, nginx: Nginx, *, path: str
) -> str:
    """Start a gateway and return its address when it serves the path."""
    port = ports.find_free_port(set())
    address = f"http://127.0.0.1:{port}"
    (folder / name).mkdir()
    conf = folder / f"{name}.conf"
    conf.write_text(_gateway_conf(stack, folder, name, port, nginx.settings))
    _start(processes, nginx.command(folder, conf), folder / f"{name}.log")
    wait_until(address + path, lambda: _responds(address + path, stack), 20)
    return address


def _gateway_conf(stack: TestStack, folder: Path, name: str, port: int, settings: Mapping[str, str]) -> str:
    paths = {"RUN_DIR": str(folder / name), "SOCKETS_DIR": str(folder), "LISTEN": f"127.0.0.1:{port}"}
    rendered = stack.gateway.render(**settings, **paths)
    for line, replacement in _WITHOUT_AUTHENTICATION.items() if name == "open" else ():
        if line not in rendered:
            raise RuntimeError(f"the gateway's template must contain {line!r}")
        rendered = rendered.replace(line, replacement)
    return rendered


def _start(
    processes: contextlib.ExitStack, command: list[str], log: Path, environment: Mapping[str, str] | None = None
) -> None:
    environment = {**os.environ, **(environment or {})}
    process = subprocess.Popen(command, stdout=log.open("w"), stderr=subprocess.STDOUT, env=environment)
    processes.callback(process.wait, 30)
    processes.callback(process.terminate)


def _responds(url: str, stack: TestStack) -> bool:
    try:
        return requests.get(url, auth=(stack.user, stack.password), timeout=2).ok
    except requests.RequestException:
        return False
