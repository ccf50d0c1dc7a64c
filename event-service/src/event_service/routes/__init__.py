"""HTTP routes: parse the request, open the transaction, call an operation, respond."""

from chassis.web.openapi_components import Api
from event_service.routes import acknowledgements, consumers, events, history, live, retention, schemas, streams

BLUEPRINTS = [
    events.bp,
    acknowledgements.bp,
    history.bp,
    streams.bp,
    schemas.bp,
    retention.bp,
    consumers.bp,
    live.bp,
]

API = Api(
    "Append-only event streams. Each has one producer; any number of consumers read it, each at its own pace.",
    {
        "streams": "Append-only series of events, each with one producer.",
        "events": "The events of streams: append, read and follow them.",
        "consumers": "Readers of a stream, with their offsets and their parked events.",
        "schemas": "JSON Schemas that the payloads of a stream are validated against.",
        "retention": "How long the events of a stream are kept.",
    },
)
