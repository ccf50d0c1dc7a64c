import http.server
import threading
import time

import jwt
import pytest

from specstore_service.app import create_app
from specstore_service.operations import tokens


def test_a_user_gets_a_token_for_himself(client, api, a_spec):
    answer = client.post("/auth/token", headers={"X-Authenticated-User": "ann"})
    assert answer.json["expires_in"] == 3600 and answer.headers["Cache-Control"] == "no-store"
    public = client.get("/auth/public-key")
    assert public.content_type == "text/plain; charset=utf-8"
    claims = jwt.decode(answer.json["token"], public.text, algorithms=["RS256"])
    exp = claims.pop("exp")
    assert abs(exp - time.time() - 3600) < 300
    assert claims == {"userid": "ann", "permissions": {"max_dataset_num": 1000}, "service": "source"}
    headers = {"Auth-Token": answer.json["token"]}
    assert client.post("/source/upload", json=a_spec(), headers=headers).status_code == 200


def test_without_a_user_there_is_no_token(client):
    assert client.post("/auth/token").status_code == 401


def test_the_key_is_made_once_however_many_ask_first(db, settings):
    with db.transaction() as tx:
        tx.run("DELETE FROM signing_key")
    apps = [create_app(settings) for _ in range(2)]
    barrier, keys = threading.Barrier(6), []

    def ask(app):
        barrier.wait()
        keys.append(app.test_client().get("/auth/public-key").text)

    threads = [threading.Thread(target=ask, args=(apps[number % 2],)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for app in apps:
        app.database.close()
    assert len(keys) == 6 and len(set(keys)) == 1 and "BEGIN PUBLIC KEY" in keys[0]


class AuthServer:
    """Hands out its public key as an issuer of tokens does; it can be told to break off, or to answer anything."""

    def __init__(self):
        self.pair, self.answer, self.asked = tokens.make_pair(), None, 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked += 1
                status, body = outer.answer or (200, outer.pair[1])
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
def guarded(db, settings, auth_server):
    app = create_app(settings.model_copy(update={"auth_server": auth_server.address}))
    # Of the key that was fetched nothing is younger than a second in these tests.
    app.extensions["specstore"].keyring._clock = iter(range(0, 10**6, 10)).__next__
    yield app.test_client()
    app.database.close()


@pytest.fixture
def upload(guarded, a_spec):
    def upload(pair):
        claims = {"userid": "ann", "permissions": {"max_dataset_num": 5}, "service": "source"}
        token = jwt.encode({**claims, "exp": int(time.time()) + 600}, pair[0], algorithm="RS256")
        return guarded.post("/source/upload", json=a_spec(), headers={"Auth-Token": token}).status_code

    return upload


def test_tokens_of_the_auth_server_are_taken_and_others_are_not(auth_server, upload, key_pair):
    assert upload(auth_server.pair) == 200
    assert upload(key_pair) == 401


def test_a_new_key_of_the_auth_server_is_found(auth_server, upload):
    old = auth_server.pair
    assert upload(old) == 200
    auth_server.pair = tokens.make_pair()
    assert upload(auth_server.pair) == 200
    assert upload(old) == 401


@pytest.mark.parametrize("answer", [(500, "x"), (200, "no key"), (302, ""), (200, ""), (200, "é"), (200, "k" * 10**6)])
def test_an_auth_server_that_answers_badly_takes_nothing_away(auth_server, upload, answer):
    assert upload(auth_server.pair) == 200
    auth_server.answer = answer
    assert upload(tokens.make_pair()) == 401
    assert upload(auth_server.pair) == 200


def test_while_there_is_no_key_at_all_it_is_a_503(auth_server, guarded, upload):
    auth_server.answer = (500, "")
    assert upload(auth_server.pair) == 503
    auth_server.answer = None
    assert upload(auth_server.pair) == 200


def test_health_names_the_auth_server_and_does_without_it(auth_server, guarded):
    def has_come_to(wanted):
        answer = guarded.get("/healthcheck")
        assert (answer.status_code, answer.json["status"]) == (200, "DEGRADED")  # there is no worker here
        return answer.json["dependencies"]["auth-server"]["status"] == wanted

    for given, wanted in ((None, "OK"), ((500, ""), "DOWN"), (None, "OK")):
        auth_server.answer = given
        deadline = time.monotonic() + 60
        while not has_come_to(wanted):
            assert time.monotonic() < deadline, wanted


def test_no_tokens_are_issued_where_another_one_does(guarded):
    assert guarded.post("/auth/token", headers={"X-Authenticated-User": "ann"}).status_code == 404
    assert guarded.get("/auth/public-key").status_code == 404
