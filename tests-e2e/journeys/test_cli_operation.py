"""The commands about the connection and about operation: login, status, dead letters, traces; and their failures."""

import json
import stat
import uuid

import pika
import pytest

from quintet_e2e.command_line import CommandLine
from quintet_e2e.stacks import ON_ONE_STACK
from quintet_testing.waiting import eventually

pytestmark = ON_ONE_STACK

QUEUE = "specstore.refresh"


@pytest.fixture
def anonymous(tmp_path):
    """Return the command line of a person who has not logged in."""
    return CommandLine(None, tmp_path, QUINTET_RETRY_SECONDS="0")


def error_of(result, exit_code):
    """Return the one line that a failed command prints on standard error."""
    assert (result.returncode, result.stdout) == (exit_code, ""), result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    return line


def test_login_stores_checked_password_for_this_user_only(anonymous, stack, tmp_path):
    file = tmp_path / "config" / "quintet" / "login.json"
    address = stack.url.replace("://", f"://{stack.user}@")
    assert "401 Unauthorized" in error_of(anonymous.run("login", address, input="wrong password\n"), 1)
    assert not file.exists()
    assert anonymous.output("login", address, input=f"{stack.password}\n").startswith(f"Logged in to {stack.url} as ")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert anonymous.json("status")["user"] == stack.user
    other = CommandLine("http://ann:wrong@127.0.0.1:1", tmp_path, QUINTET_RETRY_SECONDS="0")
    assert other.run("status").returncode == 3, "QUINTET_URL wins"
    assert anonymous.output("logout") == "Logged out\n"
    assert anonymous.json("logout") == {"deleted": False}
    assert "quintet login" in error_of(anonymous.run("status"), 2)


def test_login_asks_for_user_and_hidden_password_on_terminal(anonymous, stack):
    screen = anonymous.show("login", stack.url, typed=f"{stack.user}\n{stack.password}\n")
    assert screen.exit_code == 0, screen.text
    assert f"Logged in to {stack.url} as {stack.user}" in screen.text and stack.password not in screen.raw
    document = anonymous.json("login", stack.client_url())
    assert (document["url"], document["user"]) == (stack.url, stack.user)


def test_status_shows_services_and_queues(cli, stack, tmp_path):
    assert ["service", "orders-service", "OK", ""] in cli.rows("status")
    document = cli.json("status")
    assert (document["url"], document["user"], document["status"]) == (stack.url, stack.user, "OK")
    assert "orders.import" in [queue["name"] for queue in document["queues"]]
    text = cli.show("status").text
    assert f"{stack.url} as {stack.user}: OK\n" in text and "orders.import" in text
    reader = CommandLine(stack.client_url("cli-reader", stack.add_user("cli-reader", "reader")), tmp_path)
    assert reader.json("status")["queues"] is None
    assert "QUEUE" not in reader.show("status").text


def test_status_reports_stopped_service(cli, stack):
    stack.stop("sequence-web")
    try:
        result = cli.run("status")
        screen = cli.show("status")
    finally:
        stack.start("sequence-web")
    stack.wait_until_healthy()
    assert (result.returncode, screen.exit_code) == (3, 3)
    assert next(line for line in result.stdout.splitlines() if "sequence-service" in line).split("\t")[2] == "DOWN"
    assert "DOWN" in next(line for line in screen.lines if line.startswith("sequence-service"))
    assert screen.width <= 80


def dead_letter(stack):
    """Send a job that cannot be parsed, which becomes a dead letter, and return its ID."""
    message_id = str(uuid.uuid4())
    with pika.BlockingConnection(pika.URLParameters(stack.amqp_url)) as connection:
        properties = pika.BasicProperties(message_id=message_id, delivery_mode=2)
        connection.channel().basic_publish("", QUEUE, b'{"flow": ', properties)
    return message_id


def test_dead_letters_are_listed_requeued_and_deleted(cli, stack):
    first, second = dead_letter(stack), dead_letter(stack)

    def ids():
        return [letter["id"] for letter in cli.json("dead-letters", "list", QUEUE)]

    eventually(lambda: {first, second} <= set(ids()), 60)
    (row,) = [row for row in cli.rows("dead-letters", "list") if first in row]
    assert row[0] == QUEUE and "must be valid JSON" in row[3]
    screen = cli.show("dead-letters", "list")
    assert first in screen.text and screen.width <= 80
    assert cli.json("dead-letters", "requeue", QUEUE, first) == {"queue": QUEUE, "requeued": 1}
    eventually(lambda: first in ids(), 60)
    assert cli.output("dead-letters", "requeue", QUEUE, first) == f"1 message of {QUEUE} requeued\n"
    eventually(lambda: first in ids(), 60)
    assert cli.run("dead-letters", "delete", QUEUE, first, input="n\n").returncode == 1 and first in ids()
    screen = cli.show("dead-letters", "delete", QUEUE, first, typed="y\n")
    assert f"1 message of {QUEUE} deleted" in screen.text and first not in ids()
    assert cli.json("dead-letters", "delete", QUEUE, second, "--yes") == {"queue": QUEUE, "deleted": 1}


def test_trace_shows_what_a_request_caused(cli):
    stream = f"cli-{uuid.uuid4().hex[:8]}"
    event_id = cli.output("append", stream, "OrderPlaced", "{}").strip()
    request_id = cli.json("tail", stream, "--no-follow")["request_id"]
    (entry,) = cli.json("trace", request_id)["entries"]
    assert (entry["kind"], entry["id"], entry["service"]) == ("event", event_id, "event-service")
    assert cli.rows("trace", request_id)[0][1:3] == ["event-service", "event"]
    screen = cli.show("trace", request_id)
    assert f"OrderPlaced in {stream}" in screen.text and screen.width <= 80
    assert cli.run("trace", "no-such-request").stderr == "Nothing is stored about this request.\n"


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["sequence", "show", "no-such-sequence"], 1, "no-such-sequence not found (404 Not Found, request "),
        (["append", "sequence", "X", "{}"], 1, "(423 Locked, request "),
        (["next", "image-sequence", "-n", "10001"], 2, "10001"),
        (["append", "x", "X", "[]"], 2, "JSON must be an object"),
        (["append", "x", "X", "{"], 2, "JSON must be valid"),
        (["tail", "no-such-stream", "--no-follow"], 1, "404 Not Found"),
        (["tail", "orders", "--from", "yesterday"], 2, "--from must be a time such as"),
        (["import", "no-such-file.csv"], 2, "no-such-file.csv"),
        (["data", "get", "wines"], 2, "OWNER/DATASET must have this form"),
        (["data", "get", "admin/no-such-dataset"], 1, "404 Not Found"),
        (["consume", "x", "X", "--consumer", "c", "--", "./no-such-handler"], 2, "must be an executable program"),
        (["no-such-command"], 2, "No such command"),
    ],
)
def test_failure_is_a_sentence_and_an_exit_code(cli, arguments, exit_code, message):
    result = cli.run(*arguments)
    assert result.returncode == exit_code, result.stderr
    assert message in result.stderr and "Traceback" not in result.stderr and result.stdout == ""


def test_failed_import_and_file_without_permission_are_refused(cli, tmp_path):
    (tmp_path / "no-columns.csv").write_text("a|b\n1|2\n")
    assert "id" in error_of(cli.run("import", "no-columns.csv"), 1)
    (tmp_path / "spec.yaml").write_text("meta: [")
    assert "must be valid JSON or YAML" in cli.run("spec", "push", "spec.yaml").stderr


def test_json_is_indented_for_people_only(cli):
    document = cli.json("sequence", "show", "image-sequence")
    assert cli.output("sequence", "show", "image-sequence", "--json") == json.dumps(document, ensure_ascii=False) + "\n"
    assert cli.show("sequence", "show", "image-sequence", "--json").lines == json.dumps(document, indent=2).splitlines()
