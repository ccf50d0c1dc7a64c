"""nginx itself checks passwords, at every request, and does not store them."""

import random
import re
import socket
import struct
import threading
from contextlib import closing

import pytest


def statuses(gateway, count, user="ann", password=None, **options):
    return {gateway.call("GET", "/sequences", user, password, **options).status for _ in range(count)}


def test_correct_password_returns_200_and_wrong_password_401(gateway):
    assert statuses(gateway, 3) == {200}
    assert statuses(gateway, 3, password="wrong") == {401}
    assert statuses(gateway, 3, "unknown", gateway.passwords["ann"]) == {401}
    assert statuses(gateway, 3, password=gateway.passwords["root"]) == {401}


def test_wrong_passwords_do_not_lock_a_user_out(gateway):
    assert statuses(gateway, 200, password="wrong") == {401}
    assert statuses(gateway, 1) == {200}
    assert statuses(gateway, 1, "root") == {200}


@pytest.mark.parametrize("size", [10, 3_000_000])
@pytest.mark.parametrize("is_sent", [True, False])
def test_upload_is_rejected_whether_or_not_its_body_arrives(gateway, size, is_sent):
    headers, body = ({}, b"x" * size) if is_sent else ({"Content-Length": str(size)}, None)
    for user, password, status in (("", None, 401), ("ann", "wrong", 401), ("rita", None, 403)):
        path = "/acme_orders/api/v1/orders/import"
        response = gateway.call("PUT", path, user, password, headers=headers, body=body)
        assert response.status == status, response


def test_clients_that_disconnect_early_do_not_crash_a_worker(start_gateway):
    gateway = start_gateway(RATE_LIMITS="off")
    workers = gateway.workers()
    seed = random.randrange(2**32)
    generator = random.Random(seed)
    head = f"GET /sequences HTTP/1.1\r\nHost: x\r\nAuthorization: {gateway.basic('ann', 'wrong')}\r\n\r\n".encode()
    for _ in range(12):
        clients = [socket.create_connection(("127.0.0.1", gateway.port)) for _ in range(40)]
        for client in clients:
            client.sendall(head[: generator.choice((len(head), len(head) - 2, len(head) // 2))])
            if generator.random() < 0.8:  # a reset instead of an orderly close
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
        assert statuses(gateway, 1) == {200}, f"seed {seed}"
    assert gateway.workers() == workers, f"seed {seed}"


def test_removed_user_is_rejected_at_the_next_request(gateway):
    gateway.add_user("removed")
    gateway.reload()
    assert statuses(gateway, 1, "removed") == {200}
    gateway.users("remove", "removed")
    assert statuses(gateway, 1, "removed") == {401}


def test_replaced_password_takes_effect_at_the_next_request(gateway):
    gateway.add_user("replaced")
    gateway.reload()
    first = gateway.passwords["replaced"]
    assert statuses(gateway, 1, "replaced") == {200}
    gateway.add_user("replaced")
    assert statuses(gateway, 1, "replaced") == {200}
    assert statuses(gateway, 1, "replaced", first) == {401}


def test_live_stream_ends_within_the_shutdown_timeout_after_a_reload(start_gateway):
    gateway = start_gateway(SHUTDOWN_TIMEOUT="1s")
    sent, ended = threading.Event(), threading.Event()

    def stream_endlessly(request):
        request.send_response(200)
        request.end_headers()
        while not ended.wait(0.02):
            request.wfile.write(b": heartbeat\n\n")
            sent.set()

    gateway.services["event"].handler = stream_endlessly
    head = f"GET /api/v1/streams/x/live HTTP/1.1\r\nHost: x\r\nAuthorization: {gateway.basic('ann')}\r\n\r\n"
    reader = threading.Thread(target=lambda: (gateway.send_raw(head.encode()), ended.set()))
    reader.start()
    assert sent.wait(60)
    gateway.reload()
    assert ended.wait(60)
    reader.join()


def test_spellings_of_one_credential_share_one_quota(start_gateway_with_quotas):
    gateway = start_gateway_with_quotas()
    encoded = gateway.basic("ann").removeprefix("Basic ")
    spellings = [f"Basic {encoded}", f"basic {encoded}", f"BASIC  {encoded}", f"Basic   {encoded}", f"Basic {encoded} "]
    received = [
        gateway.call("GET", "/sequences", headers={"Authorization": spelling}).status for spelling in spellings * 4
    ]
    assert received == [200] * 6 + [429] * 14


def test_wrong_passwords_do_not_count_against_the_users_quota(start_gateway_with_quotas):
    gateway = start_gateway_with_quotas()
    assert statuses(gateway, 20, password="wrong") == {401}
    assert statuses(gateway, 6) == {200}
    assert statuses(gateway, 3) == {429}


@pytest.mark.parametrize("is_correct", [True, False])
def test_password_is_not_stored_or_logged(gateway, is_correct):
    password = gateway.passwords["root"] if is_correct else "bad-Password-4711"
    gateway.call("GET", "/sequence", "root", password)
    response = gateway.call("GET", "/sequence", password, "x")  # a password in the user name field
    assert gateway.access_log_entry(response.headers["X-Request-ID"])["status"] == 401
    basic = gateway.basic("root", password).removeprefix("Basic ")
    matches = [
        file
        for file in gateway.directory.rglob("*")
        if file.is_file() and re.search(f"{re.escape(password)}|{re.escape(basic)}", file.read_text(errors="replace"))
    ]
    assert matches == []


def test_role_and_password_are_those_of_the_user_among_3000_others(start_gateway):
    gateway = start_gateway()
    hashes, roles = (gateway.directory / "users" / name for name in ("htpasswd", "roles.conf"))
    gateway.add_user("last", "reader")
    names = [f"user{number}" for number in range(3000)]
    hashes.write_text("".join(f"{name}:{{SSHA}}AAAA\n" for name in names) + hashes.read_text())
    roles.write_text("".join(f'":{name}" admin;\n' for name in names) + roles.read_text())
    gateway.reload()
    with closing(socket.create_connection(("127.0.0.1", gateway.port))):
        assert gateway.call("GET", "/sequences", "last").status == 200
        assert gateway.call("GET", "/sequence", "last").status == 403
        assert gateway.call("GET", "/sequences", "user7", "x").status == 401
