"""HTTP routes: parse the request, open the transaction, call an operation, respond."""

from event_service.routes import acknowledgements, consumers, events, live, streams

BLUEPRINTS = [events.bp, acknowledgements.bp, streams.bp, consumers.bp, live.bp]
