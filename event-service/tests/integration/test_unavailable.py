import threading
import time

import pytest

from event_service.app import create_app
from quintet_testing.postgres import free_port


@pytest.fixture
def cut_off(settings):
    """An app whose Postgres is away."""
    url = f"postgresql://event:event@127.0.0.1:{free_port()}/event"
    return create_app(settings.model_copy(update={"database_url": url}))


def assert_unavailable(response):
    assert response.status_code == 503
    assert response.json.startswith("Service Unavailable - ")
    assert int(response.headers["Retry-After"]) >= 1
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"


def test_without_postgres_every_request_is_told_so(cut_off, api_of, stream):
    api = api_of(cut_off, stream)
    id_ = "00000000-0000-0000-0000-000000000000"
    for response in (api.append(), api.append(Idempotency_Key="k"), api.read(), api.read(wait=5), api.settle(id_),
                     api.set_offset(0), api.client.get(api.path), api.follow()):  # fmt: skip
        assert_unavailable(response)
    assert api.append({}).status_code == 400
    assert api.client.get("/livez").status_code == 200


def test_connections_that_are_cut_cost_one_answer_at_the_most(api, settings, api_of, stream, db):
    app = create_app(settings)
    mine = api_of(app, stream)
    mine.appended()
    answers = []
    reader = threading.Thread(target=lambda: answers.append(mine.read("New", wait=20)))
    reader.start()
    watch = app.extensions["event"].watch
    while not watch._waiters:
        time.sleep(0.005)
    with db.transaction() as tx:
        tx.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'event' AND usename = user"
        )
    codes = [mine.append().status_code for _ in range(5)]
    assert codes[1:] == [200] * 4 and codes[0] in (200, 503)
    ids = mine.appended(1, "New")
    reader.join(timeout=10)
    assert [event["event"]["id"] for event in answers[0].json] == ids
    # The other app of these tests had its connections cut too.
    assert api.read().status_code in (200, 503)
