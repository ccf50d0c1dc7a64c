import os
import signal
import socket
import subprocess
import sys
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
import requests

from event_service.app import create_app
from event_service.operations import retention
from event_service.settings import Settings
from quintet_testing import plugin as testing
from quintet_testing.postgres import free_port
from quintet_testing.waiting import eventually


@pytest.fixture(scope="session")
def settings(postgres_url):
    return testing.migrated(Settings, "event", postgres_url)


@pytest.fixture(scope="session")
def app(settings):
    return create_app(settings)


def _an_event(name="OrderPlaced", version=1, payload=None, **fields):
    return {
        "event": {"name": name, "version": version},
        "system": {
            "id": "alv123",
            "name": "codello alvine",
            "time": "2017-09-06 13:58:12",
            "timezone": "Europe/Berlin",
        },
        "trigger": {"type": "system", "name": "/path/to/script.php"},
        "payload": payload or {},
        **fields,
    }


@pytest.fixture(scope="session")
def an_event():
    """Return a builder of append bodies with defaults."""
    return _an_event


@pytest.fixture
def stream():
    """Return a unique name, so that no process has cached schemas of it in an earlier test."""
    return f"stream {uuid.uuid4().hex[:8]}"


class Api:
    """A client for one stream and one user, with a default producer and consumer."""

    def __init__(self, client, stream, user="ann", role="writer"):
        self.client, self.stream, self.path = client, stream, f"/api/v1/streams/{stream}"
        # The headers that the gateway adds; a request without a user bypasses it.
        self.identity = {"X-Authenticated-User": user, "X-Authenticated-Role": role} if user else {}

    def as_user(self, user, role="writer"):
        """Return a client for the same stream and another user."""
        return Api(self.client, self.stream, user, role)

    def append(self, body=None, producer="producer", **headers):
        headers = {
            **self.identity,
            "X-Producer-ID": producer,
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        return self.client.post(f"{self.path}/events", json=_an_event() if body is None else body, headers=headers)

    def append_events(self, count=1, name="OrderPlaced"):
        """Append `count` events and return their IDs."""
        response = self.append([_an_event(name) for _ in range(count)])
        assert response.status_code == 200
        return response.json

    def read(self, name="OrderPlaced", limit=1000, consumer="consumer", **query):
        return self.client.get(
            f"{self.path}/events",
            query_string={"eventName": name, "limit": limit, **query},
            headers={**self.identity, "X-Consumer-ID": consumer},
        )

    def sequences(self, **query):
        return [event["sequence"] for event in self.read(**query).json]

    def all_positions(self, **query):
        return [event["position"] for event in self.read("*", **query).json]

    def lease(self, seconds=3600, **query):
        """Lease events and return their sequences."""
        response = self.read(lease=seconds, **query)
        assert response.status_code == 200, response.text
        return [event["sequence"] for event in response.json]

    def follow(self, name="*"):
        return self.client.get(f"{self.path}/live", query_string={"eventName": name})

    def acknowledge(self, event_id, action="ACK", consumer="consumer", **form):
        return self.client.post(
            f"{self.path}/events/{event_id}",
            data={"action": action, **form},
            headers={**self.identity, "X-Consumer-ID": consumer},
        )

    def consumers(self):
        return self.client.get(f"{self.path}/consumers").json["consumers"]

    def parked(self, consumer="consumer"):
        return self.client.get(f"{self.path}/consumers/{consumer}/parked").json

    def replay(self, event_id, consumer="consumer"):
        path = f"{self.path}/consumers/{consumer}/parked/{event_id}/replay"
        return self.client.post(path, headers=self.identity)

    def replay_all(self, consumer="consumer"):
        return self.client.post(f"{self.path}/consumers/{consumer}/parked/replay", headers=self.identity)

    def delete_consumer(self, consumer="consumer"):
        return self.client.delete(f"{self.path}/consumers/{consumer}", headers=self.identity)

    def set_offset(self, offset, name="OrderPlaced", consumer="consumer"):
        body = {"eventName": name, "offset": offset}
        return self.client.put(f"{self.path}/consumers/{consumer}/offset", json=body, headers=self.identity)

    def get(self, path):
        return self.client.get(f"{self.path}{path}", headers=self.identity)

    def positions(self, query="from=1"):
        return [event["position"] for event in self.get(f"/events?{query}&limit=1000").json]

    def put_retention(self, max_age_days=None, max_events=None):
        body = {"max_age_days": max_age_days, "max_events": max_events}
        return self.client.put(f"{self.path}/retention", json=body, headers=self.identity)

    def erase(self, event_id):
        return self.client.delete(f"{self.path}/events/{event_id}", headers=self.identity)

    def put_schema(self, document, name="OrderPlaced", version=1):
        return self.client.put(f"{self.path}/schemas/{name}/{version}", json=document, headers=self.identity)


@pytest.fixture
def api(client, stream):
    return Api(client, stream)


@pytest.fixture
def end_leases(db):
    """Return a function that lets all leases and all delays end, as if their time had passed."""

    def end_leases():
        with db.transaction() as tx:
            tx.run("UPDATE leases SET available_at = now() WHERE available_at > now()")
            tx.run("UPDATE parked SET available_at = now() WHERE available_at > now()")
            tx.run("UPDATE offsets SET delayed_until = now() WHERE delayed_until > now()")

    return end_leases


@pytest.fixture
def is_waiting(db):
    """Return a function that returns whether a transaction waits for a lock."""

    def is_waiting():
        with db.transaction() as tx:
            return tx.value(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )

    return is_waiting


@pytest.fixture
def delete_due(db):
    """Return a function that calls the timer of retention, until nothing is due, and returns the number of batches."""

    def delete_due(now=None, max_batches=1000):
        batches = 0
        while batches < max_batches:
            with db.transaction() as tx:
                if not retention.delete_due_events(tx, now or datetime.now(UTC)):
                    break
            batches += 1
        return batches

    return delete_due


@pytest.fixture
def api_for(db):
    """Return a function that creates an Api: `api_for(app, stream)`."""
    return lambda app, stream: Api(app.test_client(), stream)


@pytest.fixture
def upgrade(old_database, api_for):
    """Return a function that migrates the old database and returns an Api for its stream `old`."""

    def upgrade():
        old_database.upgrade()
        api = api_for(create_app(old_database.settings), "old")
        assert api.client.get("/invariants").json["status"] == "OK"
        return api

    return upgrade


class WebProcess:
    def __init__(self, url, port):
        self.port, self.base = port, f"http://127.0.0.1:{port}"
        environment = {**os.environ, "DATABASE_URL": url, "BIND": f"127.0.0.1:{port}", "WEB_CONCURRENCY": "2"}
        command = [sys.executable, "-m", "event_service", "web"]
        self.process = subprocess.Popen(command, env=environment, start_new_session=True)

    def kill(self):
        """Kill all processes of the server at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=30)

    def wait_until_ready(self):
        eventually(lambda: requests.get(f"{self.base}/livez", timeout=30).ok, within_seconds=120)

    def send(self, request_line, *headers):
        """Send the bytes of a request unmodified, which no client library does, and return the connection."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        lines = [request_line + b" HTTP/1.1", b"Host: x", b"Connection: close", *headers]
        connection.sendall(b"\r\n".join(lines) + b"\r\n\r\n")
        return connection

    def append(self, body, stream="s"):
        response = requests.post(
            f"{self.base}/api/v1/streams/{stream}/events", json=body, headers={"X-Producer-ID": "p"}, timeout=30
        )
        assert response.status_code == 200
        return response.json()


@contextmanager
def _running_process(settings):
    process = WebProcess(settings.database_url, free_port())
    try:
        process.wait_until_ready()
        yield process
    finally:
        process.process.send_signal(signal.SIGTERM)
        process.process.wait(timeout=120)


@pytest.fixture(scope="session")
def running_process():
    """Return a context manager that runs the web process in production configuration."""
    return _running_process
