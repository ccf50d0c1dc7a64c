"""The request ID is in the response, the logs, the messages and the events of a request."""

import json
import re
import secrets

from quintet_e2e.clients import ok_json
from quintet_e2e.faults import POSTGRES_RECOVERY_SECONDS, assert_recovered
from quintet_e2e.sequences import UniqueSequence
from quintet_e2e.stacks import ALSO_ON_REPLICAS
from quintet_e2e.streams import event_body, read_events, stream_path
from quintet_e2e.subscriber import subscription
from quintet_testing.waiting import eventually


def log_lines_with(stack, program, request_id):
    """Return the parsed JSON log lines that contain the request ID."""
    return [json.loads(line[line.index("{") :]) for line in stack.log(program).splitlines() if request_id in line]


@ALSO_ON_REPLICAS
def test_request_id_of_client_is_in_response_event_message_and_log(stack, client):
    request_id = f"{client.request_id_prefix}.custom_{secrets.token_hex(4)}"
    stream = f"traced {secrets.token_hex(4)}"
    with subscription(stack, f"{stream.replace(' ', '%20')}.*") as subscriber:
        response = client.post(
            f"{stream_path(stream)}/events",
            json=event_body(),
            headers={"X-Producer-ID": "one", "X-Request-ID": request_id},
        )
        assert response.headers["X-Request-ID"] == request_id
        assert read_events(client, stream)[0]["request_id"] == request_id
        eventually(lambda: subscriber.receive() or subscriber.received)
    properties, _ = subscriber.received[0]
    assert properties.correlation_id == request_id
    assert properties.message_id == ok_json(response)
    eventually(lambda: log_lines_with(stack, "gateway", request_id))
    (line,) = log_lines_with(stack, "gateway", request_id)
    assert (line["user"], line["status"], line["method"]) == (stack.user, 200, "POST")


def test_request_id_is_passed_to_events_of_other_service(client):
    sequence, request_id = UniqueSequence(client), f"{client.request_id_prefix}-passed"
    sequence.issue(10, **{"X-Request-ID": request_id})
    eventually(sequence.events)
    assert [event["request_id"] for event in sequence.events()] == [request_id]


def test_invalid_request_id_is_replaced(client):
    for invalid_id in ("with blank", "x" * 129, "ünicode".encode(), "a/b", '"'):
        request_id = client.get("/sequences", headers={"X-Request-ID": invalid_id}).headers["X-Request-ID"]
        assert re.fullmatch(r"[0-9a-f]{32}", request_id)


def test_error_responses_contain_request_id(client):
    request_id = f"{client.request_id_prefix}-rejected"
    headers = {"X-Request-ID": request_id}
    response = client.get("/sequence?n=-1", headers=headers)
    assert (response.status_code, response.json()["instance"]) == (400, request_id)
    response = client.get("/nothing", headers=headers)
    assert (response.status_code, response.json()["instance"]) == (404, request_id)


@ALSO_ON_REPLICAS
def test_services_return_503_without_postgres_and_recover(stack, client):
    """Requests during the outage must not take effect."""
    stream = f"traced {secrets.token_hex(4)}"
    append_options = {
        "json": event_body(),
        "headers": {"X-Producer-ID": "one", "X-Request-ID": f"{client.request_id_prefix}-append"},
    }
    before = ok_json(client.get("/sequences/json-sequence"))
    stack.stop("postgres")
    try:
        numbers = client.get("/json-sequence", headers={"X-Request-ID": f"{client.request_id_prefix}-numbers"})
        append = client.post(f"{stream_path(stream)}/events", **append_options)
        health = client.get("/health")
    finally:
        stack.start("postgres")
    for response in (numbers, append):
        assert response.status_code == 503
        assert int(response.headers["Retry-After"]) >= 1
    assert numbers.json()["instance"] == f"{client.request_id_prefix}-numbers"
    assert append.json().startswith("Service Unavailable - ")
    assert (health.status_code, health.json()["status"]) == (503, "DOWN")
    for program, request_id in (
        ("sequence-web", f"{client.request_id_prefix}-numbers"),
        ("event-web", f"{client.request_id_prefix}-append"),
    ):
        # The supervisor and the container engine write lines to the logs a moment after the programs.
        eventually(lambda program=program, id_=request_id: len(log_lines_with(stack, program, id_)) == 2)
        unavailable, handled = log_lines_with(stack, program, request_id)
        assert (unavailable["event"], unavailable["level"]) == ("request.unavailable", "warning")
        assert (handled["event"], handled["status"]) == ("request.handled", 503)
    eventually(stack.is_database_reachable)
    eventually(lambda: client.get("/sequences").ok, POSTGRES_RECOVERY_SECONDS)
    # The process that responds may have received no request during the outage.
    assert ok_json(client.get("/sequences/json-sequence")) == before
    assert client.get(stream_path(stream)).status_code == 404
    assert_recovered(stack)
