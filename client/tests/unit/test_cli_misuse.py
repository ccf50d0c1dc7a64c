"""Wrong arguments, closed streams and foreign servers: one sentence and an exit code, never a traceback."""

import json
import os
import subprocess
import sys

import pytest
import typer

from quintet import config
from quintet.cli import options, output
from quintet.cli.events import _parse_payload
from quintet.cli.failures import describe
from quintet.errors import NotConfigured, Unauthorized

EVENT = {
    "event": {"name": "A", "version": 1, "id": "e-1"}, "system": None, "trigger": None,
    "payload": {"text": "é\u009b31m"}, "stream": "s", "sequence": 1, "position": 7, "producer": "p",
    "user": "ann", "request_id": "r", "received_at": "2026-11-27T10:00:00Z",
}  # fmt: skip


@pytest.fixture
def quintet(server, tmp_path):
    """Return a function that runs a command, by default against the scripted server."""

    def run(*arguments, shell_suffix="", **variables):
        inherited = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        environment = inherited | {
            "QUINTET_URL": server.url, "QUINTET_RETRY_SECONDS": "0", "XDG_CONFIG_HOME": str(tmp_path), **variables,
        }  # fmt: skip
        command = [sys.executable, "-W", "error", "-m", "quintet", *map(str, arguments)]
        if shell_suffix:
            command = ["sh", "-c", f'exec "$@" {shell_suffix}', "sh", *command]
        return subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=tmp_path, env=environment
        )

    return run


def assert_error(result, exit_code, text):
    assert result.returncode == exit_code, result.stderr
    assert "Traceback" not in result.stderr
    assert text in result.stderr.splitlines()[-1]


def test_report_must_not_replace_the_imported_file(quintet, tmp_path, server):
    file = tmp_path / "orders.csv"
    file.write_text("id|name\n")
    (tmp_path / "link.csv").symlink_to(file)
    for report in ("orders.csv", "link.csv"):
        assert_error(quintet("import", file, "--report", report), 2, "--report must be another file than FILE")
    assert server.requests == [] and file.read_text() == "id|name\n"


@pytest.mark.parametrize("first_line", ["#!/nonexistent/interpreter\n", "no interpreter\n"])
def test_event_is_not_refused_if_its_handler_cannot_be_started(quintet, server, tmp_path, first_line):
    """Otherwise, restarts of a program that is configured wrongly would park its events."""
    handler = tmp_path / "handler"
    handler.write_text(first_line)
    handler.chmod(0o755)
    server.reply(200, json.dumps([EVENT]).encode())
    result = quintet("consume", "s", "A", "--consumer", "c", "--", "./handler")
    assert_error(result, 2, "Error: ./handler could not be started: ")
    assert [method for method, *_ in server.requests] == ["GET"]


def test_empty_key_is_sent_instead_of_a_new_one(quintet, server):
    """`--key "$ID"` with an unset variable must not issue numbers without a key."""
    server.reply(400, b'{"detail": "Idempotency-Key: must be 1 to 255 visible ASCII characters"}')
    assert_error(quintet("next", "invoice", "--key", ""), 1, "Idempotency-Key: must be")
    ((_, _, headers, _),) = server.requests
    assert headers["Idempotency-Key"] == ""
