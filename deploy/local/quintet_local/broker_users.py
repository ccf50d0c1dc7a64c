"""RabbitMQ's users, their rights and the exchange of events, as definitions that the broker loads at each start."""

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping

from quintet_local import envfile

VHOST = "quintet"
# The operator's, and of programs from outside that follow streams.
ADMINISTRATOR = "quintet"
EVENTS = "events"
# Publishes events of every stream; the other services only of the one that has their name.
OF_ALL_STREAMS = "event"
# What it publishes to a queue goes through this exchange, where RabbitMQ cannot tell queues apart.
DEFAULT_EXCHANGE = r"amq\.default"


def definitions(settings: Mapping[str, str], services: Iterable[str]) -> str:
    """Return the same text for the same passwords, so that a change can be told."""
    services = list(services)
    passwords = {service: settings[envfile.broker_password_name(service)] for service in services}
    administrator = _user(ADMINISTRATOR, settings["RABBITMQ_PASSWORD"], "administrator")
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    return json.dumps(
        {
            "vhosts": [{"name": VHOST}],
            "exchanges": [
                {
                    "name": EVENTS,
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
                {"user": ADMINISTRATOR, "vhost": VHOST, **everything},
                *({"user": service, "vhost": VHOST, **_rights(service)} for service in services),
            ],
            "topic_permissions": [
                {"user": service, "vhost": VHOST, "exchange": EVENTS, "write": _streams(service), "read": ".*"}
                for service in services
            ],
        },
        indent=2,
    )


def _rights(service: str) -> dict[str, str]:
    """Its own queues with their dead letters, and the exchange of events: publish to it, bind own queues to it."""
    own = rf"{service}\..*"
    return {
        "configure": f"^{own}$",
        "write": f"^({own}|{EVENTS}|{DEFAULT_EXCHANGE})$",
        "read": f"^({own}|{EVENTS})$",
    }


def _streams(service: str) -> str:
    return ".*" if service == OF_ALL_STREAMS else rf"^{service}\."


def _user(name: str, password: str, tags: str = "") -> dict[str, str]:
    salt = hashlib.sha256(f"{name} {password}".encode()).digest()[:4]
    hashed = base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
    return {
        "name": name,
        "password_hash": hashed,
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": tags,
    }
