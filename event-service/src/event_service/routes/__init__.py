"""HTTP routes: parse the request, open the transaction, call an operation, respond."""

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
