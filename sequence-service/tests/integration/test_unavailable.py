"""Postgres is unreachable, or the connection to it breaks while numbers are issued."""

import pytest

from quintet_testing.postgres import free_port
from quintet_testing.proxies import PostgresProxy
from quintet_testing.waiting import eventually
from sequence_service.app import create_app

DEFINITION = {"minimum": 1, "maximum": 100}


@pytest.fixture
def proxy(settings):
    with PostgresProxy(settings.database_url) as proxy:
        yield proxy


@pytest.fixture
def proxied_client(proxy, settings):
    app = create_app(settings.model_copy(update={"database_url": proxy.url}))
    yield app.test_client()
    app.database.close()


def test_every_request_returns_503_while_postgres_is_unreachable(settings):
    url = f"postgresql://sequence:sequence@127.0.0.1:{free_port()}/sequence"
    client = create_app(settings.model_copy(update={"database_url": url})).test_client()
    requests = [("GET", "/sequence"), ("GET", "/sequences"), ("GET", "/sequences/inv"), ("PUT", "/sequences/inv"),
                ("PATCH", "/sequences/inv"), ("DELETE", "/sequences/inv"), ("GET", "/sequences/inv/issued"),
                ("POST", "/sequences/inv/next")]  # fmt: skip
    bodies = {"PUT": DEFINITION, "PATCH": {"next": 5}, "POST": {"n": 1}}
    for method, path in requests:
        response = client.open(path, method=method, json=bodies.get(method))
        assert (response.status_code, response.json["status"]) == (503, 503), (method, path)
        assert int(response.headers["Retry-After"]) >= 1
    assert client.get("/sequence?n=x").status_code == 400


@pytest.mark.parametrize("is_executed", [True, False])
def test_numbers_whose_commit_was_not_confirmed_are_issued_once_to_a_repeated_key(
    client, proxy, proxied_client, is_executed
):
    client.put("/sequences/inv", json=DEFINITION)

    def issue():
        return proxied_client.post("/sequences/inv/next", json={"n": 2}, headers={"Idempotency-Key": "k"})

    proxy.lose_connection_at(b"COMMIT", is_executed=is_executed)
    response = issue()
    assert response.status_code == 504
    assert response.json["detail"].endswith("repeat the request with the same Idempotency-Key")
    # Postgres may hold the key until it has noticed that the connection is lost.
    eventually(lambda: issue().status_code != 409)
    assert issue().json["sequence_list"] == [1, 2]
    assert client.post("/sequences/inv/next").json["sequence_list"] == [3]


def test_client_without_a_key_is_told_what_to_do(client, proxy, proxied_client):
    client.put("/sequences/inv", json=DEFINITION)
    keyed = {"Idempotency-Key": "k"}
    for method, path, headers, advice in (
        ("GET", "/sequence", keyed, "repeat the request, because its result is lost"),
        ("POST", "/sequences/inv/next", {}, "check whether it was made before you repeat the request"),
        ("DELETE", "/sequences/inv", keyed, "check whether it was made before you repeat the request"),
    ):
        proxy.lose_connection_at(b"COMMIT", is_executed=False)
        response = proxied_client.open(path, method=method, headers=headers)
        assert (response.status_code, "Retry-After" in response.headers) == (504, False), path
        assert response.json["detail"].endswith(advice)
