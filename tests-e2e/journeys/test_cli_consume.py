"""`quintet consume` calls a handler for each event in order, and `quintet tail` follows a stream."""

import json
import secrets
import signal
import sys
import textwrap

import pytest

from quintet_e2e.clients import ok_json
from quintet_e2e.command_line import SECONDS
from quintet_e2e.stacks import ON_ONE_STACK
from quintet_testing.waiting import eventually

pytestmark = ON_ONE_STACK


@pytest.fixture
def stream(cli):
    """Return the name of a stream with five events."""
    name = f"cli-{secrets.token_hex(4)}"
    for number in range(1, 6):
        cli.output("append", name, "OrderPlaced", json.dumps({"order": number}))
    return name


@pytest.fixture
def handler(tmp_path):
    """Return a function that writes a handler, a Python program, and returns its command."""

    def write(body):
        file = tmp_path / "handler.py"
        file.write_text("import json, os, signal, sys, time\n" + textwrap.dedent(body))
        return [sys.executable, str(file)]

    return write


APPEND_TO_LOG = """
    event = json.load(sys.stdin)
    with open("handled.log", "a") as log:
        print(event["payload"]["order"], file=log)
"""


def handled(folder):
    file = folder / "handled.log"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def consumer_state(client, stream):
    (state,) = ok_json(client.get(f"/api/v1/streams/{stream}/consumers"))["consumers"]
    return state


def test_handler_receives_each_event_in_order(cli, client, stream, handler, tmp_path):
    command = handler(APPEND_TO_LOG + "    print('handled', event['payload']['order'])\n")
    result = cli.run("consume", stream, "OrderPlaced", "--consumer", "mailer", "--stop-when-empty", "--", *command)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "".join(f"handled {number}\n" for number in range(1, 6))
    assert result.stderr == "Stopped: 5 acknowledged, 0 refused\n"
    assert handled(tmp_path) == [1, 2, 3, 4, 5]
    assert consumer_state(client, stream)["lag"] == 0


def test_handler_knows_the_event(cli, client, stream, handler):
    variables = "{name: value for name, value in os.environ.items() if name.startswith('QUINTET_')}"
    command = handler(f"print(json.dumps([json.load(sys.stdin), {variables}]))\n")
    result = cli.run("consume", stream, "*", "--consumer", "c", "--stop-when-empty", "--", *command)
    events = ok_json(client.get(f"/api/v1/streams/{stream}/events?from=1&limit=10"))
    for line, event in zip(result.stdout.splitlines(), events, strict=True):
        received, variables = json.loads(line)
        assert received == event
        del variables["QUINTET_URL"]
        assert variables == {
            "QUINTET_CONSUMER": "c",
            "QUINTET_STREAM": stream,
            "QUINTET_EVENT_ID": event["event"]["id"],
            "QUINTET_EVENT_NAME": "OrderPlaced",
            "QUINTET_EVENT_VERSION": "1",
            "QUINTET_EVENT_POSITION": str(event["position"]),
            "QUINTET_EVENT_REQUEST_ID": event["request_id"],
        }


def test_refused_event_is_delivered_again_before_later_ones(cli, client, stream, handler, tmp_path):
    command = handler(
        APPEND_TO_LOG
        + """
    order = event["payload"]["order"]
    if order == 3 and open("handled.log").read().split().count("3") == 1:
        sys.exit(7)
    if order == 4 and open("handled.log").read().split().count("4") == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    """
    )
    arguments = ("consume", stream, "OrderPlaced", "--consumer", "mailer", "--stop-when-empty")
    first = cli.run(*arguments, "--", *command)
    assert first.returncode == 1 and "refused #3 OrderPlaced" in first.stderr and ": exit code 7\n" in first.stderr
    assert handled(tmp_path) == [1, 2, 3]
    stuck = consumer_state(client, stream)["stuck"]
    assert (stuck["nacks"], stuck["reason"]) == (1, "exit code 7")
    process = cli.start(*arguments[:-1], "--delay", 0, "--json", "--", *command)
    eventually(lambda: handled(tmp_path) == [1, 2, 3, 3, 4, 4, 5], SECONDS)
    eventually(lambda: consumer_state(client, stream)["lag"] == 0)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, errors) == (0, "")
    lines = [json.loads(line) for line in output.splitlines()]
    assert [(line["position"], line["outcome"], line["exit_code"]) for line in lines] == [
        (3, "acknowledged", 0), (4, "refused", -9), (4, "acknowledged", 0), (5, "acknowledged", 0),
    ]  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_handler_may_finish_after_a_signal(cli, client, stream, handler, tmp_path, number):
    command = handler(
        """
    open("started", "w").close()
    while not os.path.exists("finish"):
        time.sleep(0.01)
    """
        + APPEND_TO_LOG
    )
    process = cli.start("consume", stream, "OrderPlaced", "--consumer", "mailer", "--", *command)
    eventually((tmp_path / "started").exists, SECONDS)
    process.send_signal(number)
    assert process.stderr.readline() == "Stopping when the handler has finished; a second signal ends it.\n"
    (tmp_path / "finish").touch()
    _, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, errors) == (0, "Stopped: 1 acknowledged, 0 refused\n")
    assert handled(tmp_path) == [1] and consumer_state(client, stream)["offset"] == 1


def test_second_signal_ends_the_handler_and_says_nothing_about_the_event(cli, client, stream, handler, tmp_path):
    command = handler("open('started', 'w').close()\ntime.sleep(600)\n")
    cli.output("consume", stream, "OrderPlaced", "--consumer", "c", "--stop-when-empty", "--", "true")
    cli.output("append", stream, "OrderPlaced", "{}")
    process = cli.start("consume", stream, "OrderPlaced", "--consumer", "c", "--", *command)
    eventually((tmp_path / "started").exists, SECONDS)
    process.send_signal(signal.SIGINT)
    process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, errors) == (0, "Stopped: 0 acknowledged, 0 refused\n")
    state = consumer_state(client, stream)
    assert (state["offset"], state["lag"], state["stuck"]) == (5, 1, None)


def test_waiting_consumer_stops_immediately(cli, stream):
    process = cli.start("consume", stream, "OrderPlaced", "--consumer", "c", "--json", "--", "true")
    for _ in range(5):
        assert json.loads(process.stdout.readline())["outcome"] == "acknowledged"
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=10)
    assert (process.returncode, output, errors) == (0, "", "")


def test_acknowledgement_has_limited_time_after_a_signal(cli, stack, stream, handler, tmp_path):
    command = handler("open('started', 'w').close()\nwhile not os.path.exists('finish'):\n    time.sleep(0.01)\n")
    process = cli.start("consume", stream, "OrderPlaced", "--consumer", "c", "--", *command)
    eventually((tmp_path / "started").exists, SECONDS)
    stack.stop("event-web")
    try:
        process.send_signal(signal.SIGTERM)
        (tmp_path / "finish").touch()
        _, errors = process.communicate(timeout=SECONDS)
    finally:
        stack.start("event-web")
    stack.wait_until_healthy()
    assert process.returncode == 3
    assert errors.splitlines()[-1].startswith("Error: the last event was handled, but could not be acknowledged")


def test_processes_with_leases_divide_the_events(cli, client, stream, handler, tmp_path):
    command = handler(APPEND_TO_LOG)
    arguments = ("consume", stream, "OrderPlaced", "--consumer", "pool", "--lease", 60, "--json", "--", *command)
    processes = [cli.start(*arguments) for _ in range(2)]
    eventually(lambda: len(handled(tmp_path)) == 5 and consumer_state(client, stream)["lag"] == 0, SECONDS)
    for process in processes:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=SECONDS)
    assert sorted(handled(tmp_path)) == [1, 2, 3, 4, 5]


def test_tail_follows_a_stream_that_does_not_exist_yet(cli):
    name = f"cli-{secrets.token_hex(4)}"
    process = cli.start("tail", name, "--json")
    try:
        for number in range(3):
            cli.output("append", name, "OrderPlaced", json.dumps({"order": number}))
            event = json.loads(process.stdout.readline())
            assert (event["position"], event["payload"]) == (number + 1, {"order": number})
    finally:
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, output, errors) == (130, "", "")


def test_tail_continues_after_stored_events(cli, stream):
    process = cli.start("tail", stream, "--from", 4)
    try:
        assert [process.stdout.readline().split("\t")[1] for _ in range(2)] == ["4", "5"]
        cli.output("append", stream, "OrderPlaced", "{}")
        assert process.stdout.readline().split("\t")[1] == "6"
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=SECONDS)


def test_event_is_delivered_again_after_the_command_was_killed(cli, stream, handler, tmp_path):
    blocked = handler("open('started', 'w').close()\nwhile not os.path.exists('finish'):\n    time.sleep(0.01)\n")
    with cli.start("consume", stream, "OrderPlaced", "--consumer", "mailer", "--", *blocked) as process:
        eventually((tmp_path / "started").exists, SECONDS)
        process.kill()
        # Its handler continues, and holds its output open.
        (tmp_path / "finish").touch()
        process.communicate(timeout=SECONDS)
    command = handler(APPEND_TO_LOG)
    arguments = ("consume", stream, "OrderPlaced", "--consumer", "mailer", "--stop-when-empty")
    assert cli.run(*arguments, "--", *command).returncode == 0
    assert handled(tmp_path) == [1, 2, 3, 4, 5]
