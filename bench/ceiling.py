"""What stands beside our figures: the no-op behind a gateway of its own, and one behind an nginx without passwords."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import requests

from quintet_local import binaries
from quintet_local.progress import wait_until
from quintet_local.testing import TestStack

HERE = Path(__file__).resolve().parent

_OPEN_NGINX = """
{user}
worker_processes 2;
daemon off;
pid {folder}/open.pid;
events {{ worker_connections 4096; }}
http {{
    client_body_temp_path {folder}/open-body; proxy_temp_path {folder}/open-proxy;
    fastcgi_temp_path {folder}/unused; uwsgi_temp_path {folder}/unused; scgi_temp_path {folder}/unused;
    access_log off;
    upstream noop {{ server unix:{folder}/sequence.sock; keepalive 32; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://noop; proxy_http_version 1.1; proxy_set_header Connection ""; }}
    }}
}}
"""


@contextlib.contextmanager
def noop_behind_gateways(stack: TestStack, folder: Path, port: int, open_port: int) -> Iterator[tuple[str, str]]:
    """(address behind the same gateway with the same users, address behind an nginx without passwords)."""
    web = [sys.executable, "-m", "gunicorn", "--config", "python:chassis.server", "--name", "noop"]
    web += ["--worker-class", "chassis.geventworker.Worker", "--workers", "2", "--bind", f"unix:{folder}/sequence.sock"]
    nginx = [str(binaries.nginx()), "-p", f"{folder}/", "-e", "stderr", "-c"]
    (folder / "event.sock").symlink_to(folder / "sequence.sock")
    (folder / "gateway").mkdir()
    (folder / "gateway.conf").write_text(_gateway_conf(stack, folder, port))
    user = "user root root;" if os.getuid() == 0 else ""
    (folder / "open.conf").write_text(_OPEN_NGINX.format(folder=folder, port=open_port, user=user))
    with contextlib.ExitStack() as running:
        _start(running, [*web, "--chdir", str(HERE), "noop:app"], folder / "noop.log")
        _start(running, [*nginx, str(folder / "gateway.conf")], folder / "gateway.log")
        _start(running, [*nginx, str(folder / "open.conf")], folder / "open.log")
        gateway, without = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{open_port}"
        for address in (gateway, without):
            url = f"{address}/sequence"
            wait_until(url, lambda url=url: _answers(url, stack), 20)  # type: ignore[misc]
        yield gateway, without


def _gateway_conf(stack: TestStack, folder: Path, port: int) -> str:
    values = stack.gateway.template_values() | {
        "RUN_DIR": str(folder / "gateway"),
        "SOCKETS_DIR": str(folder),
        "LISTEN": f"127.0.0.1:{port}",
    }
    tool = Path(stack.layout.checkout) / "gateway" / "render.py"
    return subprocess.run([sys.executable, tool], env=values, capture_output=True, text=True, check=True).stdout


def _start(running: contextlib.ExitStack, command: list[str], log: Path) -> None:
    process = subprocess.Popen(command, stdout=log.open("w"), stderr=subprocess.STDOUT)
    running.callback(process.wait, 30)
    running.callback(process.terminate)


def _answers(url: str, stack: TestStack) -> bool:
    try:
        return requests.get(url, auth=(stack.user, stack.password), timeout=2).ok
    except requests.RequestException:
        return False
