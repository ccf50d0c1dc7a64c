"""A lease survives the process that granted it, and ends at its time."""

import time

import pytest
import requests

from event_service.app import create_app
from event_service.settings import Settings
from quintet_testing import plugin as testing
from quintet_testing.postgres import TemporaryPostgres
from quintet_testing.waiting import eventually


class Reader:
    def __init__(self, web):
        self.events = f"{web.base}/api/v1/streams/s/events"

    def lease(self, seconds, limit=10):
        query = {"eventName": "A", "limit": limit, "lease": seconds}
        response = requests.get(self.events, params=query, headers={"X-Consumer-ID": "c"}, timeout=60)
        assert response.status_code == 200, response.text
        return [event["event"]["id"] for event in response.json()]

    def acknowledge(self, id_):
        url, headers = f"{self.events}/{id_}", {"X-Consumer-ID": "c"}
        return requests.post(url, data={"action": "ACK"}, headers=headers, timeout=60).json()


@pytest.mark.fault
def test_events_leased_through_a_killed_process_are_redelivered_when_the_lease_ends(
    client, settings, running_process, an_event
):
    with running_process(settings) as web:
        ids = web.append([an_event("A") for _ in range(3)])
        leased_at = time.monotonic()
        assert Reader(web).lease(4) == ids
        assert Reader(web).acknowledge(ids[1]) == "OK"
        web.kill()
    with running_process(settings) as web:
        reader = Reader(web)
        redelivered = eventually(lambda: reader.lease(60))
        # The lease began before the response was received.
        assert time.monotonic() - leased_at > 3
        assert redelivered == [ids[0], ids[2]]
        assert [reader.acknowledge(id_) for id_ in redelivered] == ["OK", "OK"]
        assert reader.lease(60) == []
    (consumer,) = client.get("/api/v1/streams/s/consumers").json["consumers"]
    assert (consumer["offset"], consumer["lag"]) == (3, 0)


@pytest.fixture
def server():
    server = TemporaryPostgres()
    try:
        server.start()
        yield server
        server.stop()
    finally:
        server.remove()


@pytest.mark.fault
def test_leases_and_acknowledgements_survive_a_crash_of_postgres(server, api_for, stream):
    app = create_app(testing.migrated(Settings, "event", server.url))
    api = api_for(app, stream)
    ids = api.append_events(4)
    assert api.lease(limit=3) == [1, 2, 3]
    assert [api.acknowledge(ids[number]).json for number in (1, 2)] == ["OK", "OK"]
    server.process.kill()
    server.process.wait(timeout=60)
    response = api.read(lease=60, wait=5)
    assert response.status_code == 503 and response.headers["Retry-After"]
    assert api.acknowledge(ids[0]).status_code == 503
    server.start()
    assert eventually(lambda: api.read(lease=3600).status_code == 200)
    assert api.lease() == []
    assert api.acknowledge(ids[0]).json == "OK"
    (consumer,) = api.consumers()
    assert consumer["offset"] == 3
    assert api.client.get("/invariants").json["status"] == "OK"
    app.database.close()
