"""Every line on stdout is one JSON object, from the service or a library.

The tests log in separate processes, because the configuration of logging is global.
"""

import json
import os
import subprocess
import sys
from typing import Any

PROGRAM = """
import logging
from chassis.runtime import logs
logs.configure("probe", "info")
log = logs.logger("one")
with logs.bound(request_id="r-1", message_id="m-1"):
    log.info("thing.done", count=3, name="\\u00e4\\nb", odd=object, lone="\\ud800")
    logging.getLogger("library").warning("library message %s", "one")
log.debug("thing.unimportant")
logging.getLogger("pika.adapters").error("an error that the consumer logs itself")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("thing.failed")
    logging.getLogger("library").exception("library failed")
"""

TOKENS = """
import logging
from chassis.runtime import logs
logs.configure("probe", "info")
log = logs.logger("one")
token = "eyJhbGciOiJSUzI1NiJ9.eyJ1c2VyaWQiOiJhbm4ifQ.c2lnbmF0dXJl-_secret"
unsigned = token.rpartition(".")[0] + "."
for path in (f"/source/{token}/x", f"/a?jwt={token}&b=1", "/" + token.replace(".", "%2E"), unsigned):
    log.warning("request.failed", path=path)
    logging.getLogger("gunicorn.error").error("Error handling request %s %s", "GET", path)
try:
    raise ValueError(f"invalid {token}")
except ValueError:
    log.exception("thing.failed", nested={"deep": [token]})
log.info("thing.done", name="eyJ", word="heyJude")
"""


UNREAD = """
import logging, os
from chassis.runtime import logs
logs.configure("probe", "info")
logging.raiseExceptions = False
for _ in range(2000):
    logs.logger("one").info("thing.done", text="long enough to fill the buffer")
    logging.getLogger("library").warning("library message")
os.write(2, b"continued")
os._exit(0)
"""

DELAYED = """
import sys
from chassis.runtime import logs
logs.configure("probe", "info")
logs.delay_lines()
log = logs.logger(sys.argv[1])
for number in range(3000):
    log.info("thing.done", writer=sys.argv[1], number=number, text="\\u00e4\\ud800" * (number % 400))
"""


def log_lines(program: str, **environ: str) -> list[dict[str, Any]]:
    completed = subprocess.run([sys.executable, "-c", program], capture_output=True, env={**os.environ, **environ})
    assert completed.returncode == 0, completed.stderr
    assert completed.stderr == b""
    return [json.loads(line) for line in completed.stdout.decode("utf-8").splitlines()]


def test_lines_are_json_with_request_and_message_id() -> None:
    service, library, *_ = log_lines(PROGRAM)
    assert service["event"] == "thing.done"
    assert (service["service"], service["level"], service["count"], service["name"]) == ("probe", "info", 3, "ä\nb")
    assert service["time"].endswith("Z")
    assert (library["event"], library["level"], library["service"]) == ("library message one", "warning", "probe")
    for line in (service, library):
        assert (line["request_id"], line["message_id"]) == ("r-1", "m-1")


def test_exceptions_are_fields_and_lines_below_the_level_are_omitted() -> None:
    *_, service, library = lines = log_lines(PROGRAM)
    assert len(lines) == 4
    for line in (service, library):
        assert "ZeroDivisionError" in line["exception"]
        assert "request_id" not in line


def test_lines_are_written_in_any_locale() -> None:
    assert log_lines(PROGRAM, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")[0]["name"] == "ä\nb"


def test_tokens_are_masked_in_every_field() -> None:
    *lines, last = log_lines(TOKENS)
    assert lines[0]["path"] == "/source/<token>/x" and lines[2]["path"] == "/a?jwt=<token>&b=1"
    assert lines[1]["event"] == "Error handling request GET /source/<token>/x"
    assert lines[-1]["exception"].endswith("ValueError: invalid <token>") and lines[-1]["nested"] == {
        "deep": ["<token>"]
    }
    for part in ("secret", "eyJhbGci", "eyJ1c2Vy"):
        assert part not in str(lines)
    assert (last["name"], last["word"]) == ("eyJ", "heyJude")


def test_program_continues_if_nobody_reads_its_lines() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with open(write_end, "wb") as stdout:
        completed = subprocess.run([sys.executable, "-c", UNREAD], stdout=stdout, stderr=subprocess.PIPE)
    assert (completed.returncode, completed.stderr) == (0, b"continued")


def test_delayed_lines_of_processes_that_share_a_pipe_are_complete_and_in_order() -> None:
    """The writers are faster than the reader, so that their writes wait for space in the pipe."""
    read_end, write_end = os.pipe()
    writers = [subprocess.Popen([sys.executable, "-c", DELAYED, str(number)], stdout=write_end) for number in range(3)]
    os.close(write_end)
    with open(read_end, "rb", buffering=0) as stdout:
        text = b"".join(iter(lambda: stdout.read(500), b""))
    assert [writer.wait(60) for writer in writers] == [0, 0, 0]
    lines = [json.loads(line) for line in text.splitlines()]
    for number in range(3):
        assert [line["number"] for line in lines if line["writer"] == str(number)] == list(range(3000))


def test_logging_does_not_load_what_only_terminals_need() -> None:
    program = "import sys; import chassis.runtime.logs; assert 'rich' not in sys.modules; import rich"
    subprocess.run([sys.executable, "-c", program], check=True)
