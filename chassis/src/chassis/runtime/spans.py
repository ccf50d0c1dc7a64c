"""Recording of spans with OpenTelemetry, which sends them to a collector by OTLP over HTTP."""

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from chassis.errors import Problem
from chassis.runtime.tracing import HEADER

_PROPAGATOR = TraceContextTextMapPropagator()
_SERVER_ERROR = 500


class SpanRecorder:
    """Records spans, and sends them every few seconds; if the collector does not respond, spans are lost."""

    def __init__(self, service: str, process: str, otlp_endpoint: str) -> None:
        resource = Resource.create(
            {
                "service.namespace": "quintet",
                "service.name": f"{service}-{process}",
                "service.instance.id": f"{socket.gethostname()}-{os.getpid()}",
            }
        )
        provider = TracerProvider(resource=resource)
        exporter = OTLPSpanExporter(f"{otlp_endpoint.rstrip('/')}/v1/traces")
        provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = provider.get_tracer("chassis")

    @contextmanager
    def record(self, kind: str, name: str, parent: str, attributes: dict[str, Any]) -> Iterator[str]:
        """Record the block as a span; yield the trace context of what it causes.

        `parent` is a trace context, or empty for the first span of a trace. The span has the attributes at its end.
        It has failed if they have an `error.type`, if the response is a server error, or if the block raises something
        other than a Problem. Texts of exceptions are not recorded, because they may quote data.
        """
        span = self._tracer.start_span(name, _PROPAGATOR.extract({HEADER: parent}), SpanKind[kind])
        own = span.get_span_context()
        try:
            yield f"00-{own.trace_id:032x}-{own.span_id:016x}-{own.trace_flags:02x}"
        except BaseException as error:
            if not isinstance(error, Problem):
                attributes["error.type"] = type(error).__qualname__
            raise
        finally:
            if "error.type" in attributes or attributes.get("http.response.status_code", 0) >= _SERVER_ERROR:
                span.set_status(StatusCode.ERROR)
            span.set_attributes(attributes)
            span.end()

    @contextmanager
    def record_publishing(self, names: Sequence[str], headers_of_messages: Sequence[dict[str, Any]]) -> Iterator[None]:
        with ExitStack() as stack:
            for name, headers in zip(names, headers_of_messages, strict=True):
                if HEADER in headers:
                    headers[HEADER] = stack.enter_context(self.record("PRODUCER", name, headers[HEADER], {}))
            yield
