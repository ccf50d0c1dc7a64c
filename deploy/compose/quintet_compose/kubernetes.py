"""The secrets of the manifests in deploy/kubernetes, generated from .env as those of docker-compose.yml are."""

from collections.abc import Iterable, Mapping
from typing import Any

from quintet_compose.secret_files import DATABASE, Addresses, service_secrets
from quintet_local import broker_users, envfile

NAMESPACE = "quintet"
USERS_FILES = ("htpasswd", "roles.conf")
# The operator of Postgres creates this role, whose name cannot be chosen.
SUPERUSER = "postgres"
# The domain of the namespace is part of the names, because KEDA, in another namespace, reads the URLs too.
ADDRESSES = Addresses(
    database=f"postgres-rw.{NAMESPACE}.svc:5432/{DATABASE}",
    broker=f"rabbitmq.{NAMESPACE}.svc:5672",
    cache=f"redis.{NAMESPACE}.svc:6379",
)
READ_REPLICAS = Addresses(database=f"postgres-ro.{NAMESPACE}.svc:5432/{DATABASE}")


def secrets(
    settings: Mapping[str, str], services: Iterable[str], users: Mapping[str, str], *, has_read_replicas: bool
) -> dict[str, Any]:
    """Return a list of Secrets for `kubectl apply`; `users` are the files of the gateway's users by their names."""
    services = list(services)
    contents = {
        "postgres-superuser": {"username": SUPERUSER, "password": settings["POSTGRES_PASSWORD"]},
        "postgres-roles": {
            f"{service}_db_password": settings[envfile.database_password_name(service)] for service in services
        },
        "rabbitmq": {
            "rabbitmq_definitions": broker_users.definitions(settings, services),
            "rabbitmq_erlang_cookie": settings["RABBITMQ_ERLANG_COOKIE"],
        },
        "redis": {"redis_password": settings["REDIS_PASSWORD"]},
        "gateway-users": dict(users),
    }
    for service in services:
        values = service_secrets(settings, service, ADDRESSES)
        del values["db_password"]
        if has_read_replicas and values.get("read_database_url") == "":
            values["read_database_url"] = service_secrets(settings, service, READ_REPLICAS)["database_url"]
        contents[service] = values
    return {"apiVersion": "v1", "kind": "List", "items": [_secret(name, data) for name, data in contents.items()]}


def _secret(name: str, data: Mapping[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "type": "kubernetes.io/basic-auth" if "username" in data else "Opaque",
        "stringData": dict(data),
    }
