"""Every line on stdout is one JSON object, whoever wrote it. In a process of its own: logging is global."""

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
    logging.getLogger("library").warning("said %s", "this")
log.debug("thing.unimportant")
logging.getLogger("pika.adapters").error("noise that the consumer reports itself")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("thing.failed")
    logging.getLogger("library").exception("failed too")
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
    raise ValueError(f"found {token}")
except ValueError:
    log.exception("thing.failed", nested={"deep": [token]})
log.info("thing.done", name="eyJ", word="heyJude")
"""


def lines(program: str, **environ: str) -> list[dict[str, Any]]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, env={**os.environ, **environ})
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    return [json.loads(line) for line in done.stdout.decode("utf-8").splitlines()]


def test_lines_are_json_with_the_ids_of_request_and_message() -> None:
    ours, library, *_ = lines(PROGRAM)
    assert ours["event"] == "thing.done"
    assert (ours["service"], ours["level"], ours["count"], ours["name"]) == ("probe", "info", 3, "ä\nb")
    assert ours["time"].endswith("Z")
    assert (library["event"], library["level"], library["service"]) == ("said this", "warning", "probe")
    for line in (ours, library):
        assert (line["request_id"], line["message_id"]) == ("r-1", "m-1")


def test_exceptions_are_fields_and_what_lies_below_the_level_is_left_out() -> None:
    *_, ours, library = found = lines(PROGRAM)
    assert len(found) == 4
    for line in (ours, library):
        assert "ZeroDivisionError" in line["exception"]
        assert "request_id" not in line


def test_a_line_is_written_in_any_locale() -> None:
    assert lines(PROGRAM, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")[0]["name"] == "ä\nb"


def test_a_token_is_masked_wherever_it_is_logged() -> None:
    *found, last = lines(TOKENS)
    assert found[0]["path"] == "/source/<token>/x" and found[2]["path"] == "/a?jwt=<token>&b=1"
    assert found[1]["event"] == "Error handling request GET /source/<token>/x"
    assert found[-1]["exception"].endswith("ValueError: found <token>") and found[-1]["nested"] == {"deep": ["<token>"]}
    for part in ("secret", "eyJhbGci", "eyJ1c2Vy"):
        assert part not in str(found)
    assert (last["name"], last["word"]) == ("eyJ", "heyJude")
