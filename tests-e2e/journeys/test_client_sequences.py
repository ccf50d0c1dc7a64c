"""The Python client issues numbers and manages sequences, and reports what operators need."""

import secrets

import pytest

from quintet import Conflict, Forbidden, KeyReused, NotFound, Quintet, Unauthorized
from quintet_e2e.stacks import ON_ONE_STACK

pytestmark = ON_ONE_STACK


@pytest.fixture
def name():
    return f"client-{secrets.token_hex(4)}"


def test_numbers_are_issued_formatted_and_once_per_key(quintet, name):
    quintet.sequences.create(name, maximum=4, format="INV-{:03d}")
    assert quintet.sequences.next(name).formatted == ["INV-001"]
    first = quintet.sequences.next(name, 2, idempotency_key=name)
    assert quintet.sequences.next(name, n=2, idempotency_key=name) == first
    assert (first.numbers, first.formatted, first.period) == ([2, 3], ["INV-002", "INV-003"], None)
    with pytest.raises(KeyReused):
        quintet.sequences.next(name, idempotency_key=name)
    with pytest.raises(Conflict):
        quintet.sequences.next(name, 2)
    assert quintet.sequences.get(name).remaining == 1


def test_sequence_is_created_listed_changed_deleted_and_revived(quintet, name):
    definition = {"minimum": 10, "maximum": 20, "cycle": True, "audit": True, "reset": "year", "timezone": "UTC"}
    definition["format"] = "{year}-{}"
    created = quintet.sequences.create(name, **definition)
    assert (created.next, created.last, created.is_exhausted) == (10, None, False)
    assert quintet.sequences.create(name, **definition) == created
    with pytest.raises(Conflict):
        quintet.sequences.create(name)
    assert name in [sequence.name for sequence in quintet.sequences.list()]
    assert quintet.sequences.update(name, next=15, maximum=30).next == 15
    quintet.sequences.next(name, 3)
    (entry,) = quintet.sequences.issued(name, number=16)
    assert (entry.first, entry.last, entry.user) == (15, 17, quintet.user)
    assert entry.period == str(entry.issued_at.year)
    quintet.sequences.delete(name)
    with pytest.raises(NotFound):
        quintet.sequences.get(name)
    assert quintet.sequences.create(name, **(definition | {"maximum": 30})).next == 18


def test_more_records_than_a_page_are_listed_newest_first(quintet, name):
    quintet.sequences.create(name, audit=True)
    for _ in range(1003):
        quintet.sequences.next(name)
    assert [entry.first for entry in quintet.sequences.issued(name)] == [*range(1003, 0, -1)]


def test_credentials_and_roles_are_reported(stack, quintet):
    user = f"reader-{secrets.token_hex(4)}"
    password = stack.add_user(user, "reader")
    with Quintet(stack.client_url(user, password)) as reader:
        assert reader.sequences.get("sequence").minimum == 1000
        with pytest.raises(Forbidden):
            reader.sequences.next("sequence")
    with Quintet(stack.client_url(user, "wrong")) as stranger, pytest.raises(Unauthorized):
        stranger.health()


def test_operators_see_health_invariants_traces_and_queues(quintet, name):
    assert quintet.health()["services"].keys() == quintet.invariants()["services"].keys()
    assert quintet.invariants(full=True)["full"] == "SUCCESS"
    quintet.sequences.create(name, audit=True)
    quintet.sequences.next(name)
    (issued,) = quintet.sequences.issued(name)
    trace = quintet.trace(issued.request_id)
    assert [(entry.service, entry.kind) for entry in trace.entries] == [("sequence-service", "number")]
    queues = {queue.name: queue for queue in quintet.dead_letters.queues()}
    assert queues["orders.import"].dead_letters == 0
    assert quintet.dead_letters.list("orders.import") == []
    assert quintet.dead_letters.requeue("orders.import") == quintet.dead_letters.delete("orders.import") == 0
    with pytest.raises(NotFound):
        quintet.dead_letters.requeue("orders.import", "no-such-message")


def test_any_other_request_can_be_sent(quintet):
    response = quintet.request("get", "/sequences", params={"limit": 1})
    assert len(response.json()["sequences"]) == 1
    with pytest.raises(NotFound) as raised:
        quintet.request("GET", "/no-such-path")
    assert raised.value.request_id
