"""What stands beside our figures: the no-op behind a gateway of its own, and behind one without authentication."""

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import requests

from quintet_local import binaries
from quintet_local.progress import wait_until
from quintet_local.testing import TestStack

HERE = Path(__file__).resolve().parent

# The same gateway, but that nobody is asked who he is.
_WITHOUT_AUTHENTICATION = {
    "js_set $verdict auth.verdict;": "geo $verdict { default admin; }",
    "auth_request /_auth;": "",
    "auth_request_set $user $let_in_user;": "set $user bench;",
    "auth_request_set $refusal $refused_because;": "set $refusal '';",
}


@dataclass(frozen=True)
class Nginx:
    """`command` is given the folder and the configuration; `settings` are what this one has otherwise."""

    command: Callable[[Path, Path], list[str]]
    settings: Mapping[str, str] = field(default_factory=dict)


def _local_command(folder: Path, conf: Path) -> list[str]:
    return [str(binaries.nginx()), "-p", f"{folder}/", "-e", "stderr", "-c", str(conf)]


LOCAL = Nginx(_local_command)


@contextlib.contextmanager
def noop_behind_gateways(
    stack: TestStack, folder: Path, port: int, open_port: int, nginx: Nginx = LOCAL
) -> Iterator[tuple[str, str]]:
    """(address behind the same gateway with the same users, address behind it without authentication)."""
    web = [sys.executable, "-m", "gunicorn", "--config", "python:chassis.server", "--name", "noop"]
    web += ["--worker-class", "chassis.geventworker.Worker", "--workers", "2", "--bind", f"unix:{folder}/sequence.sock"]
    for word in ("event", "factory", "specstore"):
        (folder / f"{word}.sock").symlink_to(folder / "sequence.sock")
    for name, its_port in (("gateway", port), ("open", open_port)):
        (folder / name).mkdir()
        (folder / f"{name}.conf").write_text(_gateway_conf(stack, folder, name, its_port, nginx.settings))
    with contextlib.ExitStack() as running:
        _start(running, [*web, "--chdir", str(HERE), "noop:app"], folder / "noop.log")
        _start(running, nginx.command(folder, folder / "gateway.conf"), folder / "gateway.log")
        _start(running, nginx.command(folder, folder / "open.conf"), folder / "open.log")
        gateway, without = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{open_port}"
        for address in (gateway, without):
            url = f"{address}/sequence"
            wait_until(url, lambda url=url: _answers(url, stack), 20)  # type: ignore[misc]
        yield gateway, without


def _gateway_conf(stack: TestStack, folder: Path, name: str, port: int, settings: Mapping[str, str]) -> str:
    values = {**stack.gateway.template_values(), **settings} | {
        "RUN_DIR": str(folder / name),
        "SOCKETS_DIR": str(folder),
        "LISTEN": f"127.0.0.1:{port}",
    }
    tool = Path(stack.layout.checkout) / "gateway" / "render.py"
    rendered = subprocess.run([sys.executable, tool], env=values, capture_output=True, text=True, check=True).stdout
    for line, other in _WITHOUT_AUTHENTICATION.items() if name == "open" else ():
        if line not in rendered:
            raise RuntimeError(f"the gateway's template has no line {line!r} any more")
        rendered = rendered.replace(line, other)
    return rendered


def _start(running: contextlib.ExitStack, command: list[str], log: Path) -> None:
    process = subprocess.Popen(command, stdout=log.open("w"), stderr=subprocess.STDOUT)
    running.callback(process.wait, 30)
    running.callback(process.terminate)


def _answers(url: str, stack: TestStack) -> bool:
    try:
        return requests.get(url, auth=(stack.user, stack.password), timeout=2).ok
    except requests.RequestException:
        return False
