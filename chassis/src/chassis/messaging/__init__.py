"""Messages between services: outbox, relay, consumers, inbox, dead letters, and the worker process that runs them.

It depends on `chassis.db`, because every message is sent and processed within a transaction; `chassis.web` depends on
it to report health. Only its module `broker` imports pika.
"""
