"""A token that was sent as ?jwt= is in no log of the stack, though what it was sent to has failed."""

import pytest

from quintet_e2e.clients import attempt
from quintet_e2e.faults import assert_healed
from quintet_e2e.specs import Owner
from quintet_testing.waiting import eventually

WEB = "specstore-web"
BACK_WITHIN, LOGGED_WITHIN = 120, 60


@pytest.fixture
def owner(client):
    return Owner(client)


def test_a_token_in_the_query_is_in_no_log_whatever_fails(stack, client, owner):
    token = owner.headers["Auth-Token"]
    private = owner.spec(owner.new_dataset())
    private["meta"]["findability"] = "private"
    flow = client.post(f"/source/upload?jwt={token}", json=private).json()["flow_id"]
    asked = [
        lambda: client.get(f"/source/{flow}?jwt={token}"),
        lambda: client.get(f"/source/{flow}/data/datapackage.json?jwt={token}"),
        lambda: client.put(f"/source/{owner.id}/files/a.csv?jwt={token}", data=b"x" * 400_000),
        lambda: client.post(f"/source/upload?jwt={token}", json={**private, "note": "x" * 400_000}),
    ]
    assert owner.ended(flow)["state"] == "SUCCEEDED"
    assert [ask().status_code for ask in asked] == [200] * 4
    stack.stop("postgres")
    try:
        assert [ask().status_code for ask in asked[:2]] == [503] * 2
    finally:
        stack.start("postgres")
        eventually(stack.database_answers, BACK_WITHIN)
    plain = f"/source/{flow}?limit=1"
    stack.stop(WEB)
    try:
        # A body that nobody takes any more may be cut off.
        assert all(attempt(ask).is_away for ask in asked)
        # The connection that it came on may be over, too.
        eventually(lambda: client.get(plain).status_code == 503, BACK_WITHIN)
        eventually(lambda: f'"uri":"{plain}"' in stack.log("gateway"), LOGGED_WITHIN)
    finally:
        stack.start(WEB)
        eventually(lambda: client.get(plain).status_code == 400, BACK_WITHIN)
    secret = token.rpartition(".")[2]
    assert [program for program in stack.programs if secret in stack.log(program)] == []
    eventually(lambda: client.get(f"/source/{flow}?jwt={token}").ok, BACK_WITHIN)
    assert_healed(stack)
