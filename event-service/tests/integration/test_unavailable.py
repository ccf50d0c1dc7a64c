import threading

import pytest

from event_service.app import create_app
from quintet_testing.postgres import free_port
from quintet_testing.proxies import PostgresProxy
from quintet_testing.waiting import eventually


@pytest.fixture
def disconnected_app(settings):
    """Return an app whose Postgres is unreachable."""
    url = f"postgresql://event:event@127.0.0.1:{free_port()}/event"
    return create_app(settings.model_copy(update={"database_url": url}))


def assert_unavailable(response):
    assert response.status_code == 503
    assert response.json.startswith("Service Unavailable - ")
    assert int(response.headers["Retry-After"]) >= 1
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"


def test_every_request_returns_503_while_postgres_is_unreachable(disconnected_app, api_for, stream):
    api = api_for(disconnected_app, stream)
    id_ = "00000000-0000-0000-0000-000000000000"
    for response in (api.append(), api.append(Idempotency_Key="k"), api.read(), api.read(wait=5), api.acknowledge(id_),
                     api.set_offset(0), api.client.get(api.path), api.follow()):  # fmt: skip
        assert_unavailable(response)
    assert api.append({}).status_code == 400
    assert api.client.get("/livez").status_code == 200


def test_terminated_connections_fail_at_most_one_request(api, settings, api_for, stream, db):
    app = create_app(settings)
    other_api = api_for(app, stream)
    other_api.append_events()
    responses = []
    reader = threading.Thread(target=lambda: responses.append(other_api.read("New", wait=20)))
    reader.start()
    poller = app.extensions["event"].poller
    eventually(lambda: poller._waiters)
    with db.transaction() as tx:
        # Wait for the end of each: otherwise a later request would use a connection that is still being terminated.
        tx.run(
            "SELECT pg_terminate_backend(pid, 20000) FROM pg_stat_activity"
            " WHERE application_name IN ('event', 'event-poller') AND usename = user"
        )
    statuses = [other_api.append().status_code for _ in range(5)]
    assert statuses[1:] == [200] * 4 and statuses[0] in (200, 503, 504)
    ids = other_api.append_events(1, "New")
    reader.join(timeout=60)
    assert [event["event"]["id"] for event in responses[0].json] == ids
    # The connections of the default app were terminated too.
    assert api.read().status_code in (200, 503)


@pytest.mark.parametrize("is_executed", [True, False])
@pytest.mark.parametrize("headers", [{}, {"Idempotency_Key": "k"}])
def test_append_whose_commit_was_not_confirmed_returns_504(settings, api_for, api, stream, headers, is_executed):
    api.append_events()
    with PostgresProxy(settings.database_url) as proxy:
        app = create_app(settings.model_copy(update={"database_url": proxy.url}))
        other_api = api_for(app, stream)
        assert other_api.append().status_code == 200
        proxy.lose_connection_at(b"COMMIT" if headers else b"append_events", is_executed=is_executed)
        response = other_api.append(**headers)
        assert response.status_code == 504
        assert response.json.startswith("Gateway Timeout - it is unknown whether the change was made")
        assert "Retry-After" not in response.headers
        if headers:
            # Postgres may hold the key until it has noticed that the connection is lost.
            eventually(lambda: other_api.append(**headers).status_code != 409)
            repeated = other_api.append(**headers)
            assert (repeated.status_code, "Idempotent-Replayed" in repeated.headers) == (200, True)
        expected = 3 if headers or is_executed else 2
        eventually(lambda: len(api.read().json) == expected)
