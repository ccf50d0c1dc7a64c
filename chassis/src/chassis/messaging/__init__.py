"""Messages between services: outbox, inbox, relay, broker, consumers, dead letters, the worker process."""
