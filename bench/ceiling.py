"""What our figures are compared with, each behind a gateway of its own: the no-op, with and without authentication,
FastAPI and Django."""

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

# The same gateway, which checks no password.
_WITHOUT_AUTHENTICATION = {'auth_basic "Quintet";': "auth_basic off;"}


GUNICORN = ["gunicorn", "--bind", "unix:{socket}", "--chdir", str(HERE)]


@dataclass(frozen=True)
class Nginx:
    """`command` is given the folder and the configuration; `settings` are what this one has otherwise."""

    command: Callable[[Path, Path], list[str]]
    settings: Mapping[str, str] = field(default_factory=dict)


def _local_command(folder: Path, conf: Path) -> list[str]:
    return [str(binaries.nginx()), "-p", f"{folder}/", "-e", "stderr", "-c", str(conf)]


LOCAL = Nginx(_local_command)


@contextlib.contextmanager
def noop_behind_gateways(stack: TestStack, folder: Path, nginx: Nginx = LOCAL) -> Iterator[tuple[str, str]]:
    """(address behind the same gateway with the same users, address behind it without authentication)."""
    like_ours = ["--config", "python:chassis.web.server", "--name", "noop"]
    like_ours += ["--worker-class", "gevent", "--workers", "2"]
    with contextlib.ExitStack() as running:
        _start_web(running, folder, [*GUNICORN, *like_ours, "noop:app"])
        gateway, without = (
            _start_gateway(running, stack, folder, name, nginx, path="/sequence") for name in ("gateway", "open")
        )
        yield gateway, without


@contextlib.contextmanager
def djangos_behind_gateways(stack: TestStack, chart: str) -> Iterator[dict[str, str]]:
    """What it is, and its address, at which the paths of the charts that there are now are answered."""
    found = {}
    database = {"DATABASE_URL": stack.admin_database_url}
    subprocess.run([sys.executable, HERE / "django_charts.py"], env={**os.environ, **database}, check=True)
    with contextlib.ExitStack() as running:
        for name, kept_seconds in (("Django that keeps its connections", 60), ("Django as shipped", 0)):
            folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="quintet-bench-")))
            web = [*GUNICORN, "--workers", "2", "--threads", "4", "django_charts:app"]
            _start_web(running, folder, web, {**database, "CONN_MAX_AGE": str(kept_seconds)})
            found[name] = _start_gateway(running, stack, folder, "gateway", LOCAL, path=chart)
        yield found


@contextlib.contextmanager
def fastapi_behind_gateway(stack: TestStack) -> Iterator[str]:
    """Yield the address at which FastAPI answers draws, appends and the charts that exist now."""
    database = {"DATABASE_URL": stack.admin_database_url}
    subprocess.run([sys.executable, HERE / "fastapi_peer.py"], env={**os.environ, **database}, check=True)
    with contextlib.ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="quintet-bench-")))
        web = ["uvicorn", "--uds", "{socket}", "--app-dir", str(HERE), "--workers", "2", "--no-access-log"]
        _start_web(running, folder, [*web, "fastapi_peer:app"], database)
        yield _start_gateway(running, stack, folder, "gateway", LOCAL, path="/sequence")


def _start_web(
    running: contextlib.ExitStack, folder: Path, module: list[str], environment: Mapping[str, str] | None = None
) -> None:
    """Run the module in the place of every service; `{socket}` among its arguments is where it has to listen."""
    socket = folder / "sequence.sock"
    for word in ("event", "factory", "specstore"):
        (folder / f"{word}.sock").symlink_to(socket)
    arguments = [part.replace("{socket}", str(socket)) for part in module]
    _start(running, [sys.executable, "-m", *arguments], folder / "web.log", environment)


def _start_gateway(
    running: contextlib.ExitStack, stack: TestStack, folder: Path, name: str, nginx: Nginx, *, path: str
) -> str:
    """Its address, once that path is answered there."""
    port = ports.find_free_port(set())
    address = f"http://127.0.0.1:{port}"
    (folder / name).mkdir()
    conf = folder / f"{name}.conf"
    conf.write_text(_gateway_conf(stack, folder, name, port, nginx.settings))
    _start(running, nginx.command(folder, conf), folder / f"{name}.log")
    wait_until(address + path, lambda: _answers(address + path, stack), 20)
    return address


def _gateway_conf(stack: TestStack, folder: Path, name: str, port: int, settings: Mapping[str, str]) -> str:
    here = {"RUN_DIR": str(folder / name), "SOCKETS_DIR": str(folder), "LISTEN": f"127.0.0.1:{port}"}
    rendered = stack.gateway.render(**settings, **here)
    for line, other in _WITHOUT_AUTHENTICATION.items() if name == "open" else ():
        if line not in rendered:
            raise RuntimeError(f"the gateway's template has no line {line!r} any more")
        rendered = rendered.replace(line, other)
    return rendered


def _start(
    running: contextlib.ExitStack, command: list[str], log: Path, environment: Mapping[str, str] | None = None
) -> None:
    environment = {**os.environ, **(environment or {})}
    process = subprocess.Popen(command, stdout=log.open("w"), stderr=subprocess.STDOUT, env=environment)
    running.callback(process.wait, 30)
    running.callback(process.terminate)


def _answers(url: str, stack: TestStack) -> bool:
    try:
        return requests.get(url, auth=(stack.user, stack.password), timeout=2).ok
    except requests.RequestException:
        return False
