"""HTTP in: parse, open the transaction, call, answer."""

from event_service.routes import consumers, events, live, streams

BLUEPRINTS = [events.bp, streams.bp, consumers.bp, live.bp]
