import base64
import hashlib
import hmac
import json
import time

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from chassis.errors import Problem, Unavailable
from specstore_service.domain.tokens import Bearer
from specstore_service.operations.tokens import REFETCH_SECONDS, Keyring, generate_key_pair, load_private_key


@pytest.fixture(scope="module")
def other_pair():
    return generate_key_pair()


def claims(**changes):
    values = {
        "userid": "ann",
        "permissions": {"max_dataset_num": 5},
        "service": "source",
        "exp": int(time.time()) + 600,
        **changes,
    }
    return {name: value() if callable(value) else value for name, value in values.items() if value is not None}


class KeyServer:
    """Returns a key to a keyring, counts the requests, and supplies the time."""

    def __init__(self, pem):
        self.pem, self.request_count, self.now = pem, 0, 1000.0

    def fetch(self):
        self.request_count += 1
        if self.pem is None:
            raise Unavailable("auth-server is unreachable")
        return self.pem

    def keyring(self):
        return Keyring(self.fetch, lambda: self.now)


@pytest.fixture
def key_server(key_pair):
    return KeyServer(key_pair[1])


def sign(pair, headers=None, **changes):
    return jwt.encode(claims(**changes), load_private_key(pair[0]), algorithm="RS256", headers=headers)


def status_of(keyring, token):
    with pytest.raises(Problem) as caught:
        keyring.check(token)
    return caught.value.status


def test_valid_token_yields_user_and_plan_limit(key_server, key_pair):
    assert key_server.keyring().check(sign(key_pair)) == Bearer("ann", 5)


def encode(part):
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")


def sign_hs256(header, key=b""):
    signing_input = encode(header) + b"." + encode(claims())
    signature = base64.urlsafe_b64encode(hmac.new(key, signing_input, hashlib.sha256).digest()).rstrip(b"=")
    return (signing_input + b"." + signature).decode()


def test_forged_token_is_rejected(key_server, key_pair):
    public = key_pair[1].encode()
    forged_tokens = [
        None,
        "",
        "x",
        "a.b.c",
        "....",
        "é.è.ê",
        sign_hs256({"alg": "none"}),
        sign_hs256({"alg": "none"}).rpartition(".")[0] + ".",
        sign_hs256({"alg": "None"}),
        sign_hs256({"alg": "HS256", "typ": "JWT"}, public),
        sign_hs256({"alg": "HS256"}, public.strip()),
        sign_hs256({"alg": "RS256", "kid": "../../../../dev/null"}, b""),
        sign_hs256({"alg": "RS256", "jwk": {"kty": "oct", "k": ""}}, b""),
        sign_hs256({"alg": ["RS256"]}, public),
        sign_hs256({"alg": "RS256"}, public),
        "x" * 100_000,
        sign(key_pair)[:-3] + "abc",
        jwt.encode(claims(), load_private_key(key_pair[0]), algorithm="RS512"),
        jwt.encode(claims(), load_private_key(key_pair[0]), algorithm="PS256"),
    ]
    keyring = key_server.keyring()
    assert [status_of(keyring, token) for token in forged_tokens] == [401] * len(forged_tokens)


@pytest.mark.parametrize(
    "changes",
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
def test_signed_token_with_invalid_claims_is_rejected(key_server, key_pair, changes):
    assert status_of(key_server.keyring(), sign(key_pair, **changes)) == 401


def test_key_is_cached_and_fetched_again_when_a_signature_fails(key_server, key_pair, other_pair):
    keyring = key_server.keyring()
    for _ in range(5):
        keyring.check(sign(key_pair))
    assert key_server.request_count == 1
    key_server.pem = other_pair[1]
    key_server.now += REFETCH_SECONDS
    assert keyring.check(sign(other_pair)).userid == "ann"
    assert key_server.request_count == 2
    assert status_of(keyring, sign(key_pair)) == 401


@pytest.mark.slow
def test_forged_tokens_cause_a_bounded_number_of_key_requests(key_server, key_pair, other_pair):
    keyring = key_server.keyring()
    keyring.check(sign(key_pair))
    for _ in range(100):
        key_server.now += REFETCH_SECONDS / 50
        assert status_of(keyring, sign(other_pair)) == 401
    assert key_server.request_count <= 4
    assert keyring.check(sign(key_pair)).userid == "ann"


def test_cached_key_is_used_while_the_auth_server_is_down(key_server, key_pair, other_pair):
    keyring = key_server.keyring()
    keyring.check(sign(key_pair))
    for key in (None, "not a key", create_ec_key()):
        key_server.pem = key
        key_server.now += REFETCH_SECONDS
        assert status_of(keyring, sign(other_pair)) == 401
        assert keyring.check(sign(key_pair)).userid == "ann"


def create_ec_key():
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


def test_token_cannot_be_checked_until_a_key_has_been_fetched(key_server, key_pair):
    key_server.pem = None
    keyring = key_server.keyring()
    assert status_of(keyring, sign(key_pair)) == 503
    key_server.pem = key_pair[1]
    key_server.now += REFETCH_SECONDS
    assert keyring.check(sign(key_pair)).userid == "ann"
