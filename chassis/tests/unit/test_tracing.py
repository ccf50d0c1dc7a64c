"""Trace contexts: which are accepted, what carries them, and that spans cost nothing unless they are recorded."""

import subprocess
import sys

import pytest
import structlog

from chassis.messaging import outbox
from chassis.runtime import tracing

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE_ID}-00f067aa0ba902b7-01"


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        7,
        TRACEPARENT.upper(),
        f"{TRACEPARENT}\n",
        f"{TRACEPARENT}-more",
        f"{TRACEPARENT},{TRACEPARENT}",
        TRACEPARENT.replace("00-", "ff-", 1),
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID}-00f067aa0ba902b7",
    ],
)
def test_malformed_context_is_no_trace(value):
    with tracing.continued(TRACEPARENT), tracing.continued(value):
        assert tracing.current() == ""
        assert tracing.headers() == {}


def test_jobs_and_events_of_a_block_carry_its_context():
    with tracing.continued(TRACEPARENT):
        job = outbox.job("orders.import", {}, request_id="r")
        event = outbox.event_message("orders", "Done", "{}", request_id="r", message_id="m")
    assert job.headers == {"traceparent": TRACEPARENT}
    assert event.headers == {"stream": "orders", "event": "Done", "traceparent": TRACEPARENT}
    assert outbox.job("orders.import", {}, request_id="r").headers == {}


def test_log_lines_of_a_block_have_the_trace_id():
    with tracing.continued(TRACEPARENT):
        assert structlog.contextvars.get_contextvars()["trace_id"] == TRACE_ID
    assert "trace_id" not in structlog.contextvars.get_contextvars()


def test_block_that_raises_ends_its_context():
    with pytest.raises(ValueError), tracing.continued(TRACEPARENT):
        raise ValueError
    assert tracing.current() == ""


@pytest.mark.parametrize(("endpoint", "is_imported"), [("", False), ("http://127.0.0.1:1", True)])
def test_opentelemetry_is_imported_only_if_spans_are_recorded(endpoint, is_imported):
    code = f"""
import sys
from chassis.messaging import worker
from chassis.runtime import tracing
from chassis.web import app
tracing.configure("probe", "web", {endpoint!r})
with tracing.entry_span("SERVER", "GET /", {TRACEPARENT!r}, {{}}):
    print("opentelemetry" in sys.modules, tracing.current())
"""
    # Nothing receives the span: the process must end all the same.
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    imported, traceparent = result.stdout.split()
    assert imported == str(is_imported)
    assert traceparent.split("-")[1] == TRACE_ID
    assert (traceparent == TRACEPARENT) != is_imported
