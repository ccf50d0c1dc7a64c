"""HTTP routes: parse the request, open the transaction, call an operation, respond."""

from event_service.routes import consumers, events, live, streams

BLUEPRINTS = [events.bp, streams.bp, consumers.bp, live.bp]
