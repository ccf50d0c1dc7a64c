"""Commands that call `docker compose`, with a `docker` program that records its calls instead of an engine."""

import json
import os
import subprocess
import sys

import pytest

from quintet_compose.containers import Containers
from quintet_compose.stack import Compose
from quintet_local import envfile, services, upgrade
from quintet_local.layout import CHECKOUT
from quintet_local.progress import StackError

RECORD_CALL = """#!/bin/sh
printf '%s\\n' "$@" > "$RECORD/arguments"
cat "$RECORD/output"
exit "$(cat "$RECORD/status")"
"""


def line(program, time, **fields):
    return f"{program}  | {json.dumps({'time': time, **fields})}\n"


LINES = [
    line("orders-web-1", "2026-11-26T10:00:02.5Z", level="info", request_id="r1"),
    line("gateway-1", "2026-11-26T10:00:01+00:00", request_id="r1", status=202),
    line("orders-worker-1", "2026-11-26T10:00:03Z", level="error", request_id="r2"),
    "postgres-1  | 2026-11-26 10:00:04.000 UTC [1] WARNING:  a warning\n",
]


@pytest.fixture
def docker(tmp_path, monkeypatch):
    """A folder with the last call of `docker`, and with the output and the exit code of the next one."""
    record = tmp_path / "record"
    for folder in (record, tmp_path / "bin"):
        folder.mkdir()
    program = tmp_path / "bin" / "docker"
    program.write_text(RECORD_CALL)
    program.chmod(0o755)
    (record / "output").write_text("".join(LINES))
    (record / "status").write_text("0")
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("RECORD", str(record))
    return record


@pytest.fixture
def stack(tmp_path, monkeypatch, docker):
    home = tmp_path / "stack"
    home.mkdir()
    monkeypatch.setenv("STACK_DIR", str(home))
    envfile.ensure(home / ".env", services.discover(CHECKOUT), lambda port: port)
    envfile.set_values(home / ".env", {"COMPOSE_PROJECT_NAME": "quintet-0", "STACK_ID": "id"})
    return Compose()


def command(*arguments):
    return subprocess.run(
        [sys.executable, str(CHECKOUT / "deploy" / "compose"), *arguments], capture_output=True, text=True, timeout=60
    )


def arguments_after_options(record):
    arguments = (record / "arguments").read_text().splitlines()
    return arguments[arguments.index("plain") + 1 :]


@pytest.mark.usefixtures("stack")
def test_logs_of_one_request_are_complete_and_sorted_by_time(docker):
    result = command("logs", "--request", "r1")
    assert result.returncode == 0, result.stderr
    assert result.stdout == LINES[1] + LINES[0]
    assert arguments_after_options(docker) == ["logs", "--tail", "all"]


@pytest.mark.usefixtures("stack")
def test_logs_of_a_level_are_followed_in_order_of_arrival(docker):
    assert command("logs", "--level", "warning").stdout == LINES[2] + LINES[3]
    assert arguments_after_options(docker) == ["logs", "--tail", "all", "--follow"]


@pytest.mark.usefixtures("stack")
def test_logs_of_one_container_are_printed_without_following(docker):
    assert command("logs", "orders-web", "--no-follow").stdout == "".join(LINES)
    assert arguments_after_options(docker) == ["logs", "--tail", "100", "orders-web"]


@pytest.mark.usefixtures("stack")
@pytest.mark.parametrize("option", [["--request", "r1"], []], ids=["of a request", "of all requests"])
def test_logs_of_an_unknown_container_are_reported_as_failed(docker, option):
    (docker / "status").write_text("1")
    result = command("logs", "unknown", *option)
    assert result.returncode == 1 and "see above" in result.stderr


@pytest.mark.usefixtures("stack")
def test_down_also_stops_programs_of_profiles(docker):
    (docker / "output").write_text("")
    result = command("down")
    assert result.returncode == 0, result.stderr
    assert arguments_after_options(docker) == ["--profile", "*", "down", "--remove-orphans"]


@pytest.mark.usefixtures("stack", "docker")
def test_truncated_output_ends_the_command_silently():
    pipeline = f"{sys.executable} {CHECKOUT / 'deploy' / 'compose'} logs --level info --no-follow | true"
    result = subprocess.run(["sh", "-c", pipeline], capture_output=True, text=True, timeout=60)
    assert result.stderr == ""


@pytest.mark.parametrize("replies", [["OK", "WRONGPASS invalid", "OK"], ["WRONGPASS invalid", "OK", "OK"]])
def test_password_of_redis_is_set_with_the_previous_or_the_new_one_and_is_no_argument(stack, docker, replies):
    (docker / "output").write_text("\n".join(replies) + "\n")
    stack.set_cache_password("another-password")
    assert "another-password" not in (docker / "arguments").read_text()


def test_password_of_redis_that_cannot_be_set_is_reported(stack, docker):
    (docker / "output").write_text("WRONGPASS invalid\nWRONGPASS invalid\nNOAUTH Authentication required.\n")
    with pytest.raises(StackError, match="the password of Redis could not be replaced"):
        stack.set_cache_password("another-password")


def test_standby_is_started_without_its_dependencies_which_need_the_password_in_postgres(stack, docker):
    Containers(stack, always=True).start_standby("event-web")
    arguments = (docker / "arguments").read_text().split()
    assert arguments[-6:] == ["up", "--detach", "--wait", "--no-deps", "--force-recreate", "event-web-standby"]


def test_rotation_of_passwords_begins_only_if_the_stack_is_running(stack, docker):
    (docker / "output").write_text("gateway\n")
    result = command("rotate-passwords")
    assert result.returncode == 1
    assert "the stack must be running" in result.stderr
    assert not stack.env_file.with_name(upgrade.ROTATING).exists()
