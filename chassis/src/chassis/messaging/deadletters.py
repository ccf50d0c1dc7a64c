"""List, requeue and discard dead letters: `python -m chassis.messaging.deadletters`, for `make dead-letters`.

AMQP_URL names an account that may read and write the queues of every service.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any, NamedTuple

from chassis.messaging import broker
from chassis.runtime.config import environment

_MAX_BODY_SHOWN = 1000


class DeadLetter(NamedTuple):
    """A message that was received but not acknowledged, so it stays in its queue unless it is acknowledged."""

    channel: Any
    delivery_tag: int
    properties: Any
    body: bytes

    @property
    def reason(self) -> str:
        headers = self.properties.headers or {}
        names = ("x-reason", "x-last-death-reason", "x-first-death-reason")
        return str(next((headers[name] for name in names if headers.get(name)), "unknown"))


def show(amqp_url: str, queues: Iterable[str]) -> None:
    """Print each dead letter with its ID, its request, the reason and its body, and the number of each queue."""
    with closing(_connect(amqp_url)) as connection:
        for queue in queues:
            count = 0
            for letter in _receive_all(connection, queue):
                count += 1
                properties = letter.properties
                print(f"{queue}  {properties.message_id}  request {properties.correlation_id}  {letter.reason}")
                print("    " + letter.body[:_MAX_BODY_SHOWN].decode("utf-8", "replace"))
            print(f"{queue}: {count} dead letters")


def requeue(amqp_url: str, queue: str, message_id: str | None = None) -> int:
    """Move the dead letters of a queue, or one of them, back into the queue; return their number.

    The broker confirms each message in the queue before it is deleted here, so a crash in between duplicates the
    message, which the inbox of its consumer detects, and never loses it.
    """
    with closing(_connect(amqp_url)) as connection:
        letters = _select(_receive_all(connection, queue), message_id)
        return sum(_requeue(letter, queue) for letter in letters)


def discard(amqp_url: str, queue: str, message_id: str | None = None) -> int:
    """Delete the dead letters of a queue, or one of them; return their number."""
    with closing(_connect(amqp_url)) as connection:
        letters = _select(_receive_all(connection, queue), message_id)
        return sum(_acknowledge(letter) for letter in letters)


def _connect(amqp_url: str) -> Any:
    try:
        return broker.connect(amqp_url, "quintet dead letters")
    except (broker.Error, OSError) as error:
        sys.exit(f"RabbitMQ is unreachable ({error!r}); is the stack up?")


def _receive_all(connection: Any, queue: str) -> Iterator[DeadLetter]:
    """Yield the dead letters of a queue; none if the queue does not exist.

    Those that the caller does not acknowledge return to the queue when the connection closes.
    """
    channel = connection.channel()
    channel.confirm_delivery()
    try:
        waiting = channel.queue_declare(broker.dead_letter_queue(queue), passive=True).method.message_count
    except broker.Error:
        return
    for _ in range(waiting):
        method, properties, body = channel.basic_get(broker.dead_letter_queue(queue))
        if method is None:
            return
        yield DeadLetter(channel, method.delivery_tag, properties, body)


def _select(letters: Iterable[DeadLetter], message_id: str | None) -> Iterable[DeadLetter]:
    return (letter for letter in letters if message_id in (None, letter.properties.message_id))


def _requeue(letter: DeadLetter, queue: str) -> int:
    headers = letter.properties.headers or {}
    letter.properties.headers = {name: value for name, value in headers.items() if not name.startswith("x-")}
    letter.channel.basic_publish("", queue, letter.body, letter.properties, mandatory=True)
    return _acknowledge(letter)


def _acknowledge(letter: DeadLetter) -> int:
    letter.channel.basic_ack(letter.delivery_tag)
    return 1


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m chassis.messaging.deadletters", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list").add_argument("queues", nargs="*")
    for name in ("retry", "discard"):
        command = commands.add_parser(name)
        command.add_argument("queue")
        command.add_argument("message_id", nargs="?", help="all dead letters of the queue if omitted")
    arguments = parser.parse_args(argv)
    amqp_url = environment()["AMQP_URL"]
    if arguments.command == "list":
        show(amqp_url, arguments.queues)
        return 0
    move, done = (requeue, "requeued") if arguments.command == "retry" else (discard, "discarded")
    count = move(amqp_url, arguments.queue, arguments.message_id)
    print(f"{arguments.queue}: {count} dead letters {done}")
    return 0 if count or arguments.message_id is None else 1


if __name__ == "__main__":
    sys.exit(main())
