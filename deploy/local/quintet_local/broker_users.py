"""RabbitMQ's users, their permissions and the exchange for events, as definitions that the broker loads."""

import base64
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from urllib.parse import quote

from quintet_local import envfile
from quintet_local.tools import Tool

VHOST = "quintet"
# The user of the operator, and of external programs that follow streams.
ADMINISTRATOR = "quintet"
EVENTS_EXCHANGE = "events"
# This service publishes events of every stream; each other service publishes only to the stream named after it.
EVENT_SERVICE = "event"
# Messages to a queue go through this exchange, for which RabbitMQ cannot restrict the queue.
DEFAULT_EXCHANGE = r"amq\.default"


def url(user: str, password: str, address: str) -> str:
    """Return the AMQP URL of a user; `address` is the broker's host and port."""
    return f"amqp://{user}:{quote(password, safe='')}@{address}/{VHOST}"


def definitions(settings: Mapping[str, str], services: Iterable[str]) -> str:
    """Return the same text for the same passwords, so that a change can be detected."""
    services = list(services)
    passwords = {service: settings[envfile.broker_password_name(service)] for service in services}
    administrator = _user(ADMINISTRATOR, settings["RABBITMQ_PASSWORD"], "administrator")
    full_access = {"configure": ".*", "write": ".*", "read": ".*"}
    return json.dumps(
        {
            "vhosts": [{"name": VHOST}],
            "exchanges": [
                {
                    "name": EVENTS_EXCHANGE,
                    "vhost": VHOST,
                    "type": "topic",
                    "durable": True,
                    "auto_delete": False,
                    "internal": False,
                    "arguments": {},
                }
            ],
            "users": [administrator, *(_user(name, password) for name, password in passwords.items())],
            "permissions": [
                {"user": ADMINISTRATOR, "vhost": VHOST, **full_access},
                *({"user": service, "vhost": VHOST, **_permissions(service)} for service in services),
            ],
            "topic_permissions": [
                {
                    "user": service,
                    "vhost": VHOST,
                    "exchange": EVENTS_EXCHANGE,
                    "write": _topic_pattern(service),
                    "read": ".*",
                }
                for service in services
            ],
        },
        indent=2,
    )


def update(rabbitmqctl: Callable[..., Tool], settings: Mapping[str, str], services: Iterable[str]) -> None:
    """Change the users of a running broker, which keeps the connections of those whose password changes."""
    load(rabbitmqctl, definitions(settings, services))


def load(rabbitmqctl: Callable[..., Tool], content: str) -> None:
    """Add definitions to those of a running broker, or replace those of the same name."""
    with tempfile.TemporaryFile() as file:
        file.write(content.encode())
        file.seek(0)
        rabbitmqctl("-q", "import_definitions", "/dev/stdin").run(stdin=file)


def _permissions(service: str) -> dict[str, str]:
    """Allow a service its own queues with their dead letters, and to publish to and bind queues to the exchange."""
    own_queues = rf"{service}\..*"
    return {
        "configure": f"^{own_queues}$",
        "write": f"^({own_queues}|{EVENTS_EXCHANGE}|{DEFAULT_EXCHANGE})$",
        "read": f"^({own_queues}|{EVENTS_EXCHANGE})$",
    }


def _topic_pattern(service: str) -> str:
    return ".*" if service == EVENT_SERVICE else rf"^{service}\."


def _user(name: str, password: str, tags: str = "") -> dict[str, str]:
    salt = hashlib.sha256(f"{name} {password}".encode()).digest()[:4]
    password_hash = base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
    return {
        "name": name,
        "password_hash": password_hash,
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": tags,
    }
