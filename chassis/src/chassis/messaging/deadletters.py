"""List, requeue and discard dead letters: `python -m chassis.messaging.deadletters`, for `make dead-letters`.

AMQP_URL names an account that may read and write the queues of every service.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

from chassis.messaging import broker
from chassis.runtime.config import environment

_NAME = "quintet dead letters"
_MAX_SHOWN_BODY_BYTES = 1000


class DeadLetter(NamedTuple):
    """A message of a dead-letter queue; it returns to the queue unless it is acknowledged."""

    channel: broker.Channel
    delivery_tag: int
    properties: broker.Properties
    body: bytes

    @property
    def reason(self) -> str:
        headers = self.properties.headers or {}
        names = ("x-reason", "x-last-death-reason", "x-first-death-reason")
        return str(next((headers[name] for name in names if headers.get(name)), "unknown"))

    def acknowledge(self) -> None:
        self.channel.basic_ack(self.delivery_tag)


def show(amqp_url: str, queues: list[str]) -> None:
    """Print each dead letter with its ID, request ID, reason and body, and the number of dead letters of each queue."""
    with closing(broker.connect(amqp_url, _NAME)) as connection:
        for queue in queues:
            count = 0
            for letter in _receive(connection, queue):
                count += 1
                properties = letter.properties
                print(f"{queue}  {properties.message_id}  request {properties.correlation_id}  {letter.reason}")
                print("    " + letter.body[:_MAX_SHOWN_BODY_BYTES].decode("utf-8", "replace"))
            print(f"{queue}: {_describe_count(count)}")


def requeue(amqp_url: str, queue: str, message_id: str | None = None) -> int:
    """Move the dead letters of a queue, or one of them, back to the queue; return their number.

    Each message is deleted from the dead-letter queue only after the broker has confirmed it in the queue: a crash in
    between duplicates the message, which the inbox of its consumer detects, but never loses it.
    """
    count = 0
    with closing(broker.connect(amqp_url, _NAME)) as connection:
        for letter in _receive(connection, queue, message_id):
            headers = letter.properties.headers or {}
            letter.properties.headers = {name: value for name, value in headers.items() if not name.startswith("x-")}
            letter.channel.basic_publish("", queue, letter.body, letter.properties, mandatory=True)
            letter.acknowledge()
            count += 1
    return count


def discard(amqp_url: str, queue: str, message_id: str | None = None) -> int:
    """Delete the dead letters of a queue, or one of them; return their number."""
    count = 0
    with closing(broker.connect(amqp_url, _NAME)) as connection:
        for letter in _receive(connection, queue, message_id):
            letter.acknowledge()
            count += 1
    return count


def _receive(connection: broker.BlockingConnection, queue: str, message_id: str | None = None) -> Iterator[DeadLetter]:
    """Yield the dead letters of a queue, or one of them; yield none if the queue does not exist.

    Those that the caller does not acknowledge return to the queue when the connection ends. Those that another process
    has received and not acknowledged are not among them.
    """
    channel = connection.channel()
    channel.confirm_delivery()
    try:
        count = channel.queue_declare(broker.dead_letter_queue(queue), passive=True).method.message_count
    except broker.ChannelClosed as error:
        if error.reply_code != broker.NOT_FOUND:
            raise
        return
    for _ in range(count):
        method, properties, body = channel.basic_get(broker.dead_letter_queue(queue))
        if method is None:
            return
        if message_id in (None, properties.message_id):
            yield DeadLetter(channel, method.delivery_tag, properties, body)


def _describe_count(count: int) -> str:
    return f"{count} dead letter{'' if count == 1 else 's'}"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m chassis.messaging.deadletters", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list").add_argument("queues", nargs="*")
    for name in ("retry", "discard"):
        command = commands.add_parser(name)
        command.add_argument("queue")
        command.add_argument("message_id", nargs="?", help="all dead letters of the queue if omitted")
    args = parser.parse_args(argv)
    amqp_url = environment().get("AMQP_URL")
    if not amqp_url:
        parser.error("the environment variable AMQP_URL is required")
    try:
        if args.command == "list":
            show(amqp_url, args.queues)
            return 0
        move, verb = (requeue, "requeued") if args.command == "retry" else (discard, "discarded")
        count = move(amqp_url, args.queue, args.message_id)
    except (broker.Error, OSError) as error:
        sys.exit(f"RabbitMQ reports {error!r}: is the stack running, and does the queue exist?")
    if args.message_id is not None and not count:
        print(f"{args.queue}: no dead letter has the ID {args.message_id}; `list` prints their IDs", file=sys.stderr)
        return 1
    print(f"{args.queue}: {_describe_count(count)} {verb}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
