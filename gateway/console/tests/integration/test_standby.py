"""While `make upgrade` replaces a service, the console sends its requests to the standby of the service."""

from pathlib import Path

import pytest

ADMIN = {"X_Authenticated_User": "ada", "X_Authenticated_Role": "admin"}


@pytest.fixture
def standby(services):
    """Yield the service that listens only on the socket of its standby."""
    socket = Path(services["sequence"].server_address)
    standby_socket = socket.rename(socket.with_name("sequence-standby.sock"))
    yield services["sequence"]
    standby_socket.rename(socket)


def test_health_is_that_of_the_standby(get, standby):
    response = get("/health", **ADMIN)
    assert (response.status_code, response.json()["services"]["sequence-service"]["status"]) == (200, "OK")


def test_change_is_sent_to_the_standby_once(get, standby):
    response = get("/console/sequences/invoices", "POST", {"action": "delete"}, **ADMIN)
    assert response.status_code == 303
    assert standby.changes == [("DELETE", "/sequences/invoices")]


def test_change_whose_outcome_is_unknown_is_not_repeated(get, services):
    """The service closes the connection after it has received the request; its standby must not receive it too."""

    def respond(request):
        if request.command == "GET":
            request.send_json(404, {"detail": "not found"})

    services["sequence"].respond = respond
    socket = Path(services["sequence"].server_address)
    standby_socket = socket.with_name("sequence-standby.sock")
    standby_socket.symlink_to(socket)
    try:
        assert get("/console/sequences/invoices", "POST", {"action": "delete"}, **ADMIN).status_code >= 400
    finally:
        standby_socket.unlink()
    assert services["sequence"].changes == [("DELETE", "/sequences/invoices")]
