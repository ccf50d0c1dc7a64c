import base64
import hashlib
import hmac
import json
import time

import jwt
import pytest

from chassis.errors import Problem, Unavailable
from specstore_service.domain.tokens import Bearer
from specstore_service.operations.tokens import REFETCH_SECONDS, Keyring, generate_key_pair


@pytest.fixture(scope="module")
def other_pair():
    return generate_key_pair()


def claims(**change):
    all_ = {
        "userid": "ann",
        "permissions": {"max_dataset_num": 5},
        "service": "source",
        "exp": int(time.time()) + 600,
        **change,
    }
    return {name: value() if callable(value) else value for name, value in all_.items() if value is not None}


class Server:
    """Hands out a key; counts how often it was asked. The time is ours."""

    def __init__(self, pem):
        self.pem, self.asked, self.now = pem, 0, 1000.0

    def fetch(self):
        self.asked += 1
        if self.pem is None:
            raise Unavailable("away")
        return self.pem

    def keyring(self):
        return Keyring(self.fetch, lambda: self.now)


@pytest.fixture
def server(key_pair):
    return Server(key_pair[1])


def signed(pair, headers=None, **change):
    return jwt.encode(claims(**change), pair[0], algorithm="RS256", headers=headers)


def status_of(keyring, token):
    with pytest.raises(Problem) as caught:
        keyring.check(token)
    return caught.value.status


def test_valid_token_yields_user_and_plan_limit(server, key_pair):
    assert server.keyring().check(signed(key_pair)) == Bearer("ann", 5)


def encoded(part):
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")


def by_hand(header, key=b"", claims_=None):
    text = encoded(header) + b"." + encoded(claims_ or claims())
    return (text + b"." + base64.urlsafe_b64encode(hmac.new(key, text, hashlib.sha256).digest()).rstrip(b"=")).decode()


def test_forged_token_is_rejected(server, key_pair):
    public = key_pair[1].encode()
    forged = [
        None,
        "",
        "x",
        "a.b.c",
        "....",
        "é.è.ê",
        by_hand({"alg": "none"}),
        by_hand({"alg": "none"}).rpartition(".")[0] + ".",
        by_hand({"alg": "None"}),
        by_hand({"alg": "HS256", "typ": "JWT"}, public),
        by_hand({"alg": "HS256"}, public.strip()),
        by_hand({"alg": "RS256", "kid": "../../../../dev/null"}, b""),
        by_hand({"alg": "RS256", "jwk": {"kty": "oct", "k": ""}}, b""),
        by_hand({"alg": ["RS256"]}, public),
        by_hand({"alg": "RS256"}, public),
        "x" * 100_000,
        signed(key_pair)[:-3] + "abc",
        jwt.encode(claims(), key_pair[0], algorithm="RS512"),
        jwt.encode(claims(), key_pair[0], algorithm="PS256"),
    ]
    keyring = server.keyring()
    assert [status_of(keyring, token) for token in forged] == [401] * len(forged)


@pytest.mark.parametrize(
    "change",
    [
        {"exp": lambda: int(time.time()) - 1},
        {"exp": None},
        {"exp": "tomorrow"},
        {"nbf": lambda: int(time.time()) + 600},
        {"service": "other"},
        {"service": None},
        {"service": ["source"]},
        {"userid": None},
        {"userid": 7},
        {"userid": ""},
        {"userid": "../x"},
        {"userid": "ann\n"},
        {"userid": ["ann"]},
        {"permissions": None},
        {"permissions": "all"},
        {"permissions": {}},
        {"permissions": {"max_dataset_num": "5"}},
        {"permissions": {"max_dataset_num": -1}},
        {"permissions": {"max_dataset_num": True}},
        {"permissions": {"max_dataset_num": 1.5}},
    ],
)
def test_signed_token_with_invalid_claims_is_rejected(server, key_pair, change):
    assert status_of(server.keyring(), signed(key_pair, **change)) == 401


def test_key_is_cached_and_fetched_again_when_a_signature_fails(server, key_pair, other_pair):
    keyring = server.keyring()
    for _ in range(5):
        keyring.check(signed(key_pair))
    assert server.asked == 1
    server.pem = other_pair[1]
    server.now += REFETCH_SECONDS
    assert keyring.check(signed(other_pair)).userid == "ann"
    assert server.asked == 2
    assert status_of(keyring, signed(key_pair)) == 401


def test_forged_tokens_cause_a_bounded_number_of_key_requests(server, key_pair, other_pair):
    keyring = server.keyring()
    keyring.check(signed(key_pair))
    for _ in range(100):
        server.now += REFETCH_SECONDS / 50
        assert status_of(keyring, signed(other_pair)) == 401
    assert server.asked <= 4
    assert keyring.check(signed(key_pair)).userid == "ann"


def test_cached_key_is_used_while_the_auth_server_is_down(server, key_pair, other_pair):
    keyring = server.keyring()
    keyring.check(signed(key_pair))
    for response in (None, "no key", make_ec_key()):
        server.pem = response
        server.now += REFETCH_SECONDS
        assert status_of(keyring, signed(other_pair)) == 401
        assert keyring.check(signed(key_pair)).userid == "ann"


def make_ec_key():
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


def test_check_without_any_key_is_unavailable(server, key_pair):
    server.pem = None
    keyring = server.keyring()
    assert status_of(keyring, signed(key_pair)) == 503
    server.pem = key_pair[1]
    server.now += REFETCH_SECONDS
    assert keyring.check(signed(key_pair)).userid == "ann"
