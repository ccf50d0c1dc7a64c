import http.server
import threading
import time

import jwt
import pytest

from specstore_service.app import create_app
from specstore_service.operations import tokens


def test_authenticated_user_receives_a_token_for_their_own_id(client, api, a_spec):
    response = client.post("/auth/token", headers={"X-Authenticated-User": "ann"})
    assert response.json["expires_in"] == 3600 and response.headers["Cache-Control"] == "no-store"
    public = client.get("/auth/public-key")
    assert public.content_type == "text/plain; charset=utf-8"
    claims = jwt.decode(response.json["token"], public.text, algorithms=["RS256"])
    exp = claims.pop("exp")
    assert abs(exp - time.time() - 3600) < 300
    assert claims == {"userid": "ann", "permissions": {"max_dataset_num": 1000}, "service": "source"}
    headers = {"Auth-Token": response.json["token"]}
    assert client.post("/source/upload", json=a_spec(), headers=headers).status_code == 200


def test_issued_token_has_the_configured_plan_limit(db, settings):
    app = create_app(settings.model_copy(update={"max_dataset_num": 3}))
    response = app.test_client().post("/auth/token", headers={"X-Authenticated-User": "ann"})
    app.database.close()
    claims = jwt.decode(response.json["token"], options={"verify_signature": False})
    assert claims["permissions"] == {"max_dataset_num": 3}


def test_token_request_without_a_user_is_unauthorized(client):
    assert client.post("/auth/token").status_code == 401


def test_concurrent_first_requests_create_one_key(db, settings):
    with db.transaction() as tx:
        tx.run("DELETE FROM signing_key")
    apps = [create_app(settings) for _ in range(2)]
    barrier, keys = threading.Barrier(6), []

    def request_key(app):
        barrier.wait()
        keys.append(app.test_client().get("/auth/public-key").text)

    threads = [threading.Thread(target=request_key, args=(apps[number % 2],)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for app in apps:
        app.database.close()
    assert len(keys) == 6 and len(set(keys)) == 1 and "BEGIN PUBLIC KEY" in keys[0]


class AuthServer:
    """Serves its public key, as an issuer of tokens does, or the configured response."""

    def __init__(self):
        self.pair, self.response = tokens.generate_key_pair(), None
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                status, body = outer.response or (200, outer.pair[1])
                if self.path != "/auth/public-key":
                    status = 404
                self.send_response(status)
                self.send_header("Location", "http://127.0.0.1:1/")
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def auth_server():
    server = AuthServer()
    yield server
    server.stop()


@pytest.fixture
def client_with_auth_server(db, settings, auth_server):
    app = create_app(settings.model_copy(update={"auth_server": auth_server.address}))
    # The clock advances ten seconds per call, so that no fetched key counts as recent.
    app.extensions["specstore"].keyring._clock = iter(range(0, 10**6, 10)).__next__
    yield app.test_client()
    app.database.close()


@pytest.fixture
def upload(client_with_auth_server, a_spec):
    def upload(pair):
        claims = {"userid": "ann", "permissions": {"max_dataset_num": 5}, "service": "source"}
        token = jwt.encode({**claims, "exp": int(time.time()) + 600}, pair[0], algorithm="RS256")
        response = client_with_auth_server.post("/source/upload", json=a_spec(), headers={"Auth-Token": token})
        return response.status_code

    return upload


def test_only_tokens_of_the_auth_server_are_accepted(auth_server, upload, key_pair):
    assert upload(auth_server.pair) == 200
    assert upload(key_pair) == 401


def test_rotated_key_replaces_the_previous_one(auth_server, upload):
    old = auth_server.pair
    assert upload(old) == 200
    auth_server.pair = tokens.generate_key_pair()
    assert upload(auth_server.pair) == 200
    assert upload(old) == 401


@pytest.mark.parametrize(
    "response", [(500, "x"), (200, "not a key"), (302, ""), (200, ""), (200, "é"), (200, "k" * 10**6)]
)
def test_invalid_key_response_keeps_the_previous_key(auth_server, upload, response):
    assert upload(auth_server.pair) == 200
    auth_server.response = response
    assert upload(tokens.generate_key_pair()) == 401
    assert upload(auth_server.pair) == 200


def test_upload_without_any_key_is_unavailable_until_the_auth_server_responds(auth_server, upload):
    auth_server.response = (500, "")
    assert upload(auth_server.pair) == 503
    auth_server.response = None
    assert upload(auth_server.pair) == 200


def test_health_reports_the_auth_server_without_requiring_it(auth_server, client_with_auth_server):
    def has_status(expected_status):
        response = client_with_auth_server.get("/healthcheck")
        # The service is degraded because no worker is running.
        assert (response.status_code, response.json["status"]) == (200, "DEGRADED")
        return response.json["dependencies"]["auth-server"]["status"] == expected_status

    for key_response, expected_status in ((None, "OK"), ((500, ""), "DOWN"), (None, "OK")):
        auth_server.response = key_response
        deadline = time.monotonic() + 60
        while not has_status(expected_status):
            assert time.monotonic() < deadline, expected_status


def test_no_tokens_are_issued_when_an_auth_server_is_configured(client_with_auth_server):
    assert client_with_auth_server.post("/auth/token", headers={"X-Authenticated-User": "ann"}).status_code == 404
    assert client_with_auth_server.get("/auth/public-key").status_code == 404
