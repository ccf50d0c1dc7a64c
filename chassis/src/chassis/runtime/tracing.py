"""Trace contexts (W3C Trace Context), which pass from a request to everything that it causes, and the spans of a trace.

Contexts always pass. Spans are recorded only if a collector is configured.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from chassis.runtime import logs

if TYPE_CHECKING:
    from chassis.runtime.spans import SpanRecorder

HEADER = "traceparent"

_is_well_formed = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}\Z").match
# The value of the header in what the current request or message causes; empty without a trace.
_traceparent: ContextVar[str] = ContextVar(HEADER, default="")
# Like the configuration of logging, it belongs to the process.
_recorder: "SpanRecorder | None" = None


def configure(service: str, process: str, otlp_endpoint: str | None) -> None:
    """Record spans from now on and send them to the collector; without an endpoint, record none."""
    global _recorder  # noqa: PLW0603
    _recorder = None
    if otlp_endpoint:
        # Not before: importing OpenTelemetry takes memory and time.
        from chassis.runtime.spans import SpanRecorder

        _recorder = SpanRecorder(service, process, otlp_endpoint)


def current() -> str:
    return _traceparent.get()


def headers() -> dict[str, str]:
    """Return the headers that make a message or a request part of the current trace; none without a trace."""
    return {HEADER: traceparent} if (traceparent := _traceparent.get()) else {}


@contextmanager
def continued(traceparent: object) -> Iterator[None]:
    """Make what the block causes part of this trace; if the value is not well-formed, part of none."""
    trace_context = traceparent if isinstance(traceparent, str) and _is_well_formed(traceparent) else ""
    token = _traceparent.set(trace_context)
    try:
        if trace_context:
            with logs.bound(trace_id=trace_context.split("-")[1]):
                yield
        else:
            yield
    finally:
        _traceparent.reset(token)


@contextmanager
def entry_span(kind: str, name: str, traceparent: object, attributes: dict[str, Any]) -> Iterator[None]:
    """Continue a trace, or start one if spans are recorded. The block may add to `attributes` until it ends.

    `kind` is that of OpenTelemetry: `SERVER` for a request, `CONSUMER` for a message.
    """
    with continued(traceparent):
        if _recorder is None:
            yield
        else:
            with _recorder.record(kind, name, current(), attributes) as span_context, continued(span_context):
                yield


@contextmanager
def span(name: str) -> Iterator[None]:
    """Record the block as a part of the current trace, if there is one."""
    if _recorder is None or not current():
        yield
    else:
        with _recorder.record("INTERNAL", name, current(), {}) as span_context, continued(span_context):
            yield


@contextmanager
def publish_spans(names: Sequence[str], headers_of_messages: Sequence[dict[str, Any]]) -> Iterator[None]:
    """Record the block as the publishing of each message that is part of a trace, and update its header."""
    if _recorder is None:
        yield
    else:
        with _recorder.record_publishing(names, headers_of_messages):
            yield
