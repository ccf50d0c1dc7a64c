"""An unprivileged user creates and removes a stack from a bare checkout, with only Python installed."""

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
from quintet_testing.waiting import eventually

pytestmark = pytest.mark.extended

UID = 61234
# setpriv still has the privileges of root when it executes a program, but the children of that program do not.
AS_PLAIN_USER = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "env"]
EXCLUDED_PATTERNS = (".venv", ".local*", ".env", ".users", ".git", "__pycache__", "*.egg-info", ".*_cache")
IS_USABLE_PYTHON = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"
PASSED_VARIABLES = (
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
    """A copy of this checkout that belongs to the unprivileged user."""
    folder = Path(tempfile.mkdtemp(prefix="quintet-plain-"))
    copy = folder / "checkout"
    shutil.copytree(CHECKOUT, copy, ignore=shutil.ignore_patterns(*EXCLUDED_PATTERNS))
    for directory, _, files in os.walk(folder):
        for name in (".", *files):
            os.chown(os.path.join(directory, name), UID, UID, follow_symlinks=False)
    yield copy
    shutil.rmtree(folder)


def find_shared_python():
    """Return an interpreter that the unprivileged user may run, or None: that of root is often under /root."""
    for python in (os.path.realpath(sys.executable), "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            if subprocess.run([*AS_PLAIN_USER, python, "-c", IS_USABLE_PYTHON], capture_output=True).returncode == 0:
                return python
        except OSError:
            continue
    return None


def running_processes():
    owned = [process for process in psutil.process_iter(["uids", "status"]) if process.info["uids"].real == UID]
    return [process for process in owned if process.info["status"] != psutil.STATUS_ZOMBIE]


@pytest.mark.timeout(900)
@pytest.mark.skipif(os.getuid() != 0, reason="without root, all other tests already run as an unprivileged user")
def test_unprivileged_user_starts_and_removes_a_stack_from_a_bare_checkout(checkout):
    python = find_shared_python()
    if not python:
        pytest.skip("no Python 3.11 with venv that an unprivileged user could run")
    environment = {name: os.environ[name] for name in PASSED_VARIABLES if name in os.environ} | {
        "HOME": str(checkout.parent),
        "PYTHON": python,
        "STACK": "local",
        "GATEWAY_PORT": str(ports.find_free_port(set())),
        "METRICS_PORT": str(ports.find_free_port(set())),
    }

    def make(*arguments):
        return subprocess.run(
            [*AS_PLAIN_USER, "make", "--no-print-directory", *arguments],
            cwd=checkout,
            env=environment,
            capture_output=True,
            text=True,
        )

    try:
        up = make("up")
        assert up.returncode == 0, up.stderr
        assert make("status").returncode == 0
        assert {"postgres", "nginx", "beam.smp"} <= {process.name() for process in running_processes()}
    finally:
        clean = make("clean", "YES=1")
    assert clean.returncode == 0, clean.stderr
    assert not (checkout / ".local").exists()
    assert not (checkout / ".env").exists()
    eventually(lambda: running_processes() == [])
