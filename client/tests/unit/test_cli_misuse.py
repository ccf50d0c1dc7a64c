"""Wrong arguments, closed streams and foreign servers: one sentence and an exit code, never a traceback."""

import io
import json
import os
import signal
import subprocess
import sys

import pytest
import typer

from quintet import config
from quintet.cli import options, output, progress
from quintet.cli.events import _parse_payload
from quintet.cli.failures import describe, reported
from quintet.errors import NotConfigured, Unauthorized
from quintet.models import TransferProgress

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


def test_unreachable_gateway_is_unavailable(quintet):
    result = quintet("next", "image-sequence", QUINTET_URL="http://ann:secret@127.0.0.1:1", QUINTET_RETRY_SECONDS="0.5")
    assert_error(result, 3, "the connection failed")
    assert "secret" not in result.stderr


def test_wrong_url_and_wrong_setting_are_named(quintet):
    assert quintet("login", "127.0.0.1:8080").returncode == 2
    assert_error(quintet("status", QUINTET_RETRY_SECONDS="soon"), 2, "QUINTET_RETRY_SECONDS must be")


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        ("", "must be valid"),
        ("[1]", "must be an object"),
        ('{"a": NaN}', "NaN is not a number of JSON"),
        ('{"a": "\\ud800"}', "must be valid"),
        ("[" * 50_000, "must be valid"),
        (b'{"a": "\xff"}', "must be valid"),
    ],
    ids=["empty", "list", "NaN", "surrogate", "nested", "not UTF-8"],
)
def test_payload_must_be_an_object(payload, text):
    with pytest.raises(typer.BadParameter, match=text):
        _parse_payload(payload)


def test_payload_of_standard_input_is_an_argument(quintet):
    assert_error(quintet("append", "s", "A", "-"), 2, "JSON must be valid")


@pytest.mark.parametrize("text", ["999999w", "0001-01-01T00:00+10:00", "9999-12-31T23:59:59-10:00"])
def test_time_outside_the_calendar_is_no_time(text):
    with pytest.raises(typer.BadParameter, match="--from must be a time"):
        options.parse_moment(text, "--from")


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


@pytest.mark.parametrize("body", [b"[]", b"null", b"{}", b"<html>", b"[" * 50_000], ids=lambda body: body[:6].decode())
@pytest.mark.parametrize("arguments", [("streams", "list"), ("next", "s"), ("data", "list"), ("status",)], ids=" ".join)
def test_response_of_another_server_is_reported(quintet, server, arguments, body):
    server.reply(200, body)
    result = quintet(*arguments)
    assert result.returncode == 1 and result.stderr.startswith("Error: "), result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_developer_mode_shows_where_a_defect_is(server, tmp_path):
    server.reply(200, b"{}")
    command = [sys.executable, "-X", "dev", "-m", "quintet", "streams", "list"]
    result = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"QUINTET_URL": server.url})
    assert "Traceback" in result.stderr and result.stderr.splitlines()[-1] == "KeyError: 'streams'"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_failure(quintet, server, closed):
    server.reply(200, b'{"sequence_list": [1], "formatted": ["A1"]}')
    result = quintet("next", "s", shell_suffix=closed)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == ("" if ">&-" in closed.split() else "A1\n")


@pytest.mark.parametrize("arguments", [("append", "s", "A", "-"), ("dead-letters", "delete", "q")], ids=" ".join)
def test_closed_standard_input_is_empty(quintet, server, arguments):
    result = quintet(*arguments, shell_suffix="<&-")
    assert result.returncode in (1, 2) and "Traceback" not in result.stderr
    assert server.requests == []


def test_json_is_valid_in_every_encoding_and_without_control_characters(quintet, server):
    for encoding, text in {"ascii": r"\u00e9\u009b31m", "latin-1": r"\u00e9\u009b31m", "utf-8": r"é\u009b31m"}.items():
        server.reply(200, json.dumps({"stream": "s", "producer": "p", "events": {}, "position": 7, "first_at": None,
                                      "last_at": None}).encode())  # fmt: skip
        server.reply(200, json.dumps([EVENT]).encode())
        result = quintet("tail", "s", "--from", "7", "--no-follow", "--json", PYTHONIOENCODING=encoding)
        assert result.returncode == 0, result.stderr
        assert f'"text":"{text}"' in result.stdout
        assert json.loads(result.stdout)["payload"] == EVENT["payload"]


def test_json_escapes_text_that_changes_a_terminal():
    text = "\x1b[31m \x7f \x9b31m \u202e \ud800 é 😀"
    line = output.json_line({"text": text})
    assert json.loads(line) == {"text": text}
    assert line == r'{"text":"\u001b[31m \u007f \u009b31m \u202e \ud800 é 😀"}'


def test_narrow_terminal_shows_names_and_complete_numbers(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(output, "is_terminal", lambda: True)
    columns = [output.Column("NAME", may_shrink=True), output.Column("LAST", True), output.Column("REMAINING", True)]
    output.print_table(columns, [("a-sequence-with-a-long-name", 30000, 2**63 - 1)], empty="")
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.split() == ["NAME", "LAST", "REMAINING"]
    assert row.split() == ["a-seque…", "30,000", "9,223,372,036,854,775,807"]


def test_wrong_password_is_named():
    error = Unauthorized("Unauthorized", status=401, title="Unauthorized", request_id="r1")
    assert describe(error) == "the user name or the password is wrong (401 Unauthorized, request r1)"


@pytest.mark.parametrize("url", ["foo", "http://[::1", "ftp://a:secret@h", "http://a:secret@h:99999"])
def test_login_rejects_a_wrong_url_without_showing_the_password(quintet, server, url):
    result = quintet("login", url)
    assert_error(result, 2, "URL must have the form http://user")
    assert "secret" not in result.stderr and server.requests == []


def test_no_password_is_left_after_a_failed_login(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "quintet" / "login.json").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        config.save_login("http://ann:secret@h")
    assert [entry.name for entry in (tmp_path / "quintet").iterdir()] == ["login.json"]


def test_unknown_home_folder_is_reported(monkeypatch):
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("QUINTET_URL", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 987654321)
    with pytest.raises(NotConfigured, match="set HOME"):
        config.find_url()


def test_text_of_a_server_does_not_control_the_terminal(quintet, server):
    server.reply(400, json.dumps({"detail": "no\x1b[2J\nError: forged \x9b31m"}).encode())
    result = quintet("next", "s")
    assert result.returncode == 1
    assert result.stderr.startswith("Error: no [2J Error: forged  31m (400 Bad Request, request ")
    assert len(result.stderr.splitlines()) == 1


def test_ignored_columns_do_not_control_the_terminal(quintet, server, tmp_path):
    (tmp_path / "orders.csv").write_text("id\n")
    counts = dict.fromkeys(("current", "total", "valid", "invalid", "updated", "duplicates", "rejected", "percent"), 0)
    status = {
        **counts, "task_id": "t", "batch_no": 1, "file_name": "orders.csv", "dry_run": False, "on_duplicate": "skip",
        "status": "SUCCESS", "ignored_columns": ["a\x1b[2Jb"], "rows_per_second": 0.0, "message": "", "undo": None,
        "started_at": EVENT["received_at"], "finished_at": EVENT["received_at"],
    }  # fmt: skip
    server.reply(202, json.dumps({"result": {"task_id": "t"}}).encode())
    server.reply(200, json.dumps({"result": status}).encode())
    result = quintet("import", "orders.csv")
    assert "Ignored columns: a [2Jb\n" in result.stderr, (result.stderr, server.requests)


def test_name_of_a_downloaded_file_is_neither_markup_nor_control_characters(monkeypatch, capsys):
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    with progress.transfer_bar("Downloading") as on_progress:
        on_progress(TransferProgress(1, 1, "[/x][bold]\x1b[2J.csv"))
    assert "[/x][bold] [2J.csv" in capsys.readouterr().err


def test_interrupted_question_has_the_exit_code_of_an_interruption(monkeypatch):
    class Interrupted(io.StringIO):
        def readline(self, *_):
            raise KeyboardInterrupt

    monkeypatch.setattr(sys, "stdin", Interrupted())
    with pytest.raises(typer.Exit) as raised, reported():
        typer.confirm("Delete?")
    assert raised.value.exit_code == 130


@pytest.mark.parametrize(
    ("name", "content"),
    [("s.yaml", b"a: ["), ("s.yaml", b"\xb2\xff"), ("s.yaml", b"a: &a [*a]"), ("s.json", b'{"a": NaN}'),
     ("s.json", b"[" * 50_000)],
    ids=["incomplete", "binary", "alias of itself", "NaN", "nested"],
)  # fmt: skip
def test_invalid_spec_is_reported_in_one_line_with_its_name(quintet, server, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    result = quintet("spec", "push", name)
    assert_error(result, 2, f"Error: {name} must be valid JSON or YAML: ")
    assert len(result.stderr.splitlines()) == 1 and server.requests == []


def test_handler_may_finish_after_a_signal_that_cannot_be_announced(server, tmp_path):
    handler = tmp_path / "handler"
    handler.write_text("#!/bin/sh\necho started\nread line\nwhile ! [ -e finish ]; do sleep 0.01; done\n")
    handler.chmod(0o755)
    server.reply(200, json.dumps([EVENT]).encode())
    server.reply(200, b"{}")
    command = [sys.executable, "-m", "quintet", "consume", "s", "A", "--consumer", "c", "--", "./handler"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path,
        env=os.environ | {"QUINTET_URL": server.url},
    )  # fmt: skip
    with process:
        assert process.stdout.readline() == b"started\n"
        process.stderr.close()
        process.send_signal(signal.SIGTERM)
        (tmp_path / "finish").touch()
        process.wait(30)
    assert b"action=ACK" in server.requests[1][3]
