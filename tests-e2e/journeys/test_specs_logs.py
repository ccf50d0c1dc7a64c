"""A token that is sent as ?jwt= appears in no log, even if the request fails."""

import pytest

from quintet_e2e.clients import attempt_request
from quintet_e2e.faults import assert_recovered
from quintet_e2e.specs import Owner
from quintet_e2e.stacks import ON_ONE_STACK
from quintet_testing.waiting import eventually

pytestmark = [pytest.mark.fault, ON_ONE_STACK]

WEB = "specstore-web"
RECOVERY_SECONDS, LOG_SECONDS = 120, 60


@pytest.fixture
def owner(client):
    return Owner(client)


def test_token_in_query_is_not_logged_when_requests_fail(stack, client, owner):
    token = owner.headers["Auth-Token"]
    private = owner.spec(owner.new_dataset_name())
    private["meta"]["findability"] = "private"
    flow = client.post(f"/source/upload?jwt={token}", json=private).json()["flow_id"]
    requests = [
        lambda: client.get(f"/source/{flow}?jwt={token}"),
        lambda: client.get(f"/source/{flow}/data/datapackage.json?jwt={token}"),
        lambda: client.put(f"/source/{owner.id}/files/a.csv?jwt={token}", data=b"x" * 400_000),
        lambda: client.post(f"/source/upload?jwt={token}", json={**private, "note": "x" * 400_000}),
    ]
    assert owner.wait_for_end(flow)["state"] == "SUCCEEDED"
    assert [send().status_code for send in requests] == [200] * 4
    stack.stop("postgres")
    try:
        assert [send().status_code for send in requests[:2]] == [503] * 2
    finally:
        stack.start("postgres")
        eventually(stack.is_database_reachable, RECOVERY_SECONDS)
    path = f"/source/{flow}?limit=1"
    stack.stop(WEB)
    try:
        # The connection may be closed while the body is sent.
        assert all(attempt_request(send).is_unavailable for send in requests)
        # The persistent connection may have been closed as well.
        eventually(lambda: client.get(path).status_code == 503, RECOVERY_SECONDS)
        eventually(lambda: f'"uri":"{path}"' in stack.log("gateway"), LOG_SECONDS)
    finally:
        stack.start(WEB)
        eventually(lambda: client.get(path).status_code == 400, RECOVERY_SECONDS)
    signature = token.rpartition(".")[2]
    assert [program for program in stack.programs if signature in stack.log(program)] == []
    eventually(lambda: client.get(f"/source/{flow}?jwt={token}").ok, RECOVERY_SECONDS)
    assert_recovered(stack)
