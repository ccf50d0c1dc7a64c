"""Any user, on a machine that has Python: from a bare checkout to a healthy stack and away again."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest

from quintet_local import ports
from quintet_local.layout import CHECKOUT

UID = 61234
# setpriv itself still has root's rights when it starts a program; what that one starts has none of them.
BECOME = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "env"]
NOT_COPIED = (".venv", ".local*", ".env", ".users", ".git", "__pycache__", "*.egg-info", ".*_cache")
IS_GOOD = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
PASSED_ON = (
    "PATH",
    "SSL_CERT_FILE",
    "PIP_CERT",
    "PIP_INDEX_URL",
    "PIP_FIND_LINKS",
    "UV_INDEX_URL",
    "RABBITMQ_BIN",
)


@pytest.fixture
def checkout():
    """A copy that belongs to that user."""
    folder = Path(tempfile.mkdtemp(prefix="quintet-plain-"))
    copy = folder / "checkout"
    shutil.copytree(CHECKOUT, copy, ignore=shutil.ignore_patterns(*NOT_COPIED))
    for place, _, files in os.walk(folder):
        for name in (".", *files):
            os.chown(os.path.join(place, name), UID, UID, follow_symlinks=False)
    yield copy
    shutil.rmtree(folder)


def python_for_everybody():
    """An interpreter that this user may run: root's own often lies under /root."""
    for python in (os.path.realpath(sys.executable), "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            if subprocess.run([*BECOME, python, "-c", IS_GOOD], capture_output=True).returncode == 0:
                return python
        except OSError:
            continue
    return None


def running():
    owned = [process for process in psutil.process_iter(["uids", "status"]) if process.info["uids"].real == UID]
    return [process for process in owned if process.info["status"] != psutil.STATUS_ZOMBIE]


@pytest.mark.timeout(900)
@pytest.mark.skipif(os.getuid() != 0, reason="who is no root runs all other tests as a plain user")
def test_a_plain_user_goes_from_a_bare_checkout_to_a_healthy_stack_and_back(checkout):
    python = python_for_everybody()
    if not python:
        pytest.skip("no Python 3.11 with venv that a plain user could run")
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ} | {
        "HOME": str(checkout.parent),
        "PYTHON": python,
        "STACK": "local",
        "GATEWAY_PORT": str(ports.some_free(set())),
    }

    def make(*words):
        return subprocess.run(
            [*BECOME, "make", "--no-print-directory", *words],
            cwd=checkout,
            env=environment,
            capture_output=True,
            text=True,
        )

    try:
        up = make("up")
        assert up.returncode == 0, up.stderr
        assert make("status").returncode == 0
        assert {"postgres", "nginx", "beam.smp"} <= {process.name() for process in running()}
    finally:
        clean = make("clean", "YES=1")
    assert clean.returncode == 0, clean.stderr
    assert not (checkout / ".local").exists()
    assert not (checkout / ".env").exists()
    assert running() == []
