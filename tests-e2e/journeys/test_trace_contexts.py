"""The trace context of a request (`traceparent`) reaches everything that it causes; spans are sent to a collector."""

import json
import secrets

import pytest

from quintet_e2e.clients import Client, ok_json
from quintet_e2e.orders import API, CSV, first_unused_id, orders_file, wait_for_end
from quintet_e2e.otlp import receiver
from quintet_e2e.sequences import UniqueSequence
from quintet_e2e.stacks import LocalStack
from quintet_e2e.streams import event_body, read_events, stream_path
from quintet_e2e.subscriber import subscription
from quintet_local.testing import running_stack
from quintet_testing.waiting import eventually


@pytest.fixture
def trace_id():
    return secrets.token_hex(16)


@pytest.fixture
def traceparent(trace_id):
    return f"00-{trace_id}-{secrets.token_hex(8)}-01"


def lines_of_trace(stack, program, trace_id):
    lines = [line[line.index("{") :] for line in stack.log(program).splitlines() if trace_id in line]
    return [line for line in map(json.loads, lines) if line["trace_id"] == trace_id]


def contexts_of(subscriber):
    return [properties.headers.get("traceparent") for properties, _ in subscriber.received]


def test_appended_events_carry_the_context_of_their_request(stack, client, traceparent, trace_id):
    stream = f"traced-{secrets.token_hex(4)}"
    with subscription(stack, f"{stream}.*") as subscriber:
        for trace_headers in ({"traceparent": traceparent}, {"traceparent": f"{traceparent}-more"}, {}):
            headers = {"X-Producer-ID": "one", **trace_headers}
            ok_json(client.post(f"{stream_path(stream)}/events", json=event_body(), headers=headers))
        eventually(lambda: subscriber.receive() or len(subscriber.received) == 3)
    assert contexts_of(subscriber) == [traceparent, None, None]
    assert len(read_events(client, stream)) == 3
    for program in ("gateway", "event-web"):
        eventually(lambda program=program: lines_of_trace(stack, program, trace_id))


def test_event_of_another_service_carries_the_context_to_the_worker(stack, client, traceparent, trace_id):
    sequence = UniqueSequence(client)
    with subscription(stack, "sequence.*") as subscriber:
        sequence.issue(10, traceparent=traceparent)
        eventually(sequence.events)
        eventually(lambda: subscriber.receive() or traceparent in contexts_of(subscriber))
    (line,) = eventually(lambda: lines_of_trace(stack, "event-worker", trace_id))
    assert (line["event"], line["queue"]) == ("message.handled", "event.append")


@pytest.mark.slow
def test_spans_of_an_import_form_one_trace_from_the_upload_to_the_event_in_its_stream(traceparent, trace_id):
    with (
        receiver() as collector,
        running_stack(RATE_LIMITS="off", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as test_stack,
    ):
        client = Client(LocalStack(test_stack))
        response = client.send_with_retry(
            "PUT",
            f"{API}/import",
            headers=CSV | {"traceparent": traceparent},
            params={"file_name": "orders.csv"},
            data=orders_file(first_unused_id(), 100),
        )
        import_id = ok_json(response)["result"]["task_id"]
        assert wait_for_end(client, import_id)["status"] == "SUCCESS"

        def names():
            return {(span.process, span.name) for span in collector.of_trace(trace_id)}

        expected = {
            ("orders-web", "PUT /acme_orders/api/v1/orders/import"),
            ("orders-web", "transaction"),
            ("orders-worker", "publish orders.import"),
            ("orders-worker", "handle orders.import"),
            ("orders-worker", "transaction"),
            ("orders-worker", "publish events"),
            ("event-worker", "handle event.append"),
            ("event-worker", "transaction"),
        }
        eventually(lambda: names() >= expected, 60)
        # The last span to arrive is not the last to end.
        by_id = eventually(lambda: connected(collector.of_trace(trace_id), traceparent), 60)
        (append, *_) = (span for span in by_id.values() if span.name == "handle event.append")
        assert [span.name for span in ancestors(append, by_id)][-1] == "PUT /acme_orders/api/v1/orders/import"
        (request,) = (span for span in by_id.values() if span.name.startswith("PUT "))
        assert request.attributes["http.response.status_code"] == 202
        client.close()


def connected(spans, traceparent):
    """Return the spans by ID once the parents of all of them have arrived."""
    by_id = {span.id: span for span in spans}
    return by_id if all(span.parent_id in by_id or span.parent_id in traceparent for span in spans) else None


def ancestors(span, by_id):
    while span := by_id.get(span.parent_id):
        yield span
