"""The Secrets for deploy/kubernetes, from which programs load their settings and the addresses of the servers."""

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg2.extensions
import pytest

from quintet_local import envfile, settings

CHECKOUT = Path(__file__).resolve().parents[3]
SERVICES = ["event", "factory", "orders", "sequence", "specstore"]


@pytest.fixture(params=["small", "production"])
def overlay(request):
    return request.param


@pytest.fixture
def items(tmp_path, overlay):
    """Return the contents of the Secrets that the command prints, by their names."""
    return run(tmp_path, overlay)


def run(folder, overlay):
    command = [sys.executable, CHECKOUT / "deploy" / "compose", "kubernetes-secrets", overlay]
    environment = os.environ | {"STACK_DIR": str(folder)}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    printed = json.loads(result.stdout)["items"]
    assert {item["metadata"]["namespace"] for item in printed} == {"quintet"}
    return {item["metadata"]["name"]: item["stringData"] for item in printed}


def test_settings_load_from_the_files_of_a_secret(items, overlay, tmp_path):
    for service in SERVICES:
        variables = {}
        for name, content in items[service].items():
            (tmp_path / name).write_text(content)
            variables[f"{name.upper()}_FILE"] = str(tmp_path / name)
        loaded = settings.settings_class(service).load(variables)
        parts = psycopg2.extensions.parse_dsn(loaded.database_url)
        assert (parts["host"], parts["port"], parts["dbname"]) == ("postgres-rw.quintet.svc", "5432", "quintet")
        assert parts["user"] == service and parts["password"] == items["postgres-roles"][f"{service}_db_password"]
        assert loaded.amqp_url.endswith("@rabbitmq.quintet.svc:5672/quintet")
    factory = items["factory"]
    assert factory["redis_url"].endswith("@redis.quintet.svc:6379/0")
    replica = factory["read_database_url"]
    assert ("postgres-ro.quintet.svc" in replica) if overlay == "production" else replica == ""


def test_secrets_are_those_of_env_and_stay_the_same(items, overlay, tmp_path):
    values = envfile.load(tmp_path / ".env")
    assert items["postgres-superuser"] == {"username": "postgres", "password": values["POSTGRES_PASSWORD"]}
    assert items["redis"] == {"redis_password": values["REDIS_PASSWORD"]}
    assert values["ADMIN_USER"] in items["gateway-users"]["htpasswd"]
    assert values["ADMIN_PASSWORD"] not in json.dumps(items["gateway-users"])
    # Each call hashes the users' passwords with new salts.
    later = run(tmp_path, overlay)
    assert later.pop("gateway-users").keys() == items.pop("gateway-users").keys()
    assert later == items
