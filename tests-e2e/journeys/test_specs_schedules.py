"""A dataset that is due is run again, once, though two workers look for what is due."""

from collections import Counter

import pytest

from quintet_e2e.faults import assert_healed
from quintet_e2e.orders import ask_database
from quintet_e2e.specs import Owner
from quintet_e2e.streams import events_of
from quintet_testing.waiting import eventually

DATASETS = 12
RUN_WITHIN = 300
WORKER = "specstore-worker"

pytestmark = pytest.mark.parametrize("stack", ["local"], indirect=True)

# Three days and a half hour ago: of all that was missed one run is made, and the next is due in half an hour.
PUT_BACK = """
    UPDATE specstore.datasets SET due_at = now() - interval '3 days 30 minutes'
    WHERE owner = %(owner)s AND name = ANY (%(names)s)
"""
NEXT = """
    SELECT count(*) FROM specstore.datasets WHERE owner = %(owner)s AND name = ANY (%(names)s)
    AND due_at BETWEEN now() + interval '20 minutes' AND now() + interval '30 minutes'
"""


@pytest.fixture
def owner(client):
    return Owner(client)


def workers(stack):
    """All that have ever reported, in the last hour."""
    return set(ask_database(stack, "SELECT worker FROM specstore.workers"))


def test_what_is_due_is_run_once_by_two_workers(stack, client, owner):
    datasets, last = [owner.new_dataset() for _ in range(DATASETS)], owner.new_dataset()
    for dataset in (*datasets, last):
        owner.ended(owner.upload(dataset, schedule="every 1h"))
    known = workers(stack)
    with stack.one_more(WORKER):
        eventually(lambda: workers(stack) - known, RUN_WITHIN)
        ask_database(stack, PUT_BACK, owner=owner.id, names=datasets)
        for dataset in datasets:
            eventually(lambda dataset=dataset: len(owner.revisions(dataset)) > 1, RUN_WITHIN)
        # By then both have looked again.
        ask_database(stack, PUT_BACK, owner=owner.id, names=[last])
        eventually(lambda: len(owner.revisions(last)) > 1, RUN_WITHIN)
        again = [f"{owner.id}/{dataset}/2" for dataset in (*datasets, last)]
        assert {owner.ended(flow)["state"] for flow in again} == {"SUCCEEDED"}
    assert [owner.revisions(dataset) for dataset in datasets] == [[2, 1]] * DATASETS
    assert ask_database(stack, NEXT, owner=owner.id, names=[*datasets, last]) == [(DATASETS + 1,)]
    for dataset in (*datasets, last):
        owner.ended(owner.upload(dataset))
    assert_healed(stack)
    queued = [event for event in events_of(client, "specstore") if event["event"]["name"] == "FlowQueued"]
    by_timer = Counter(
        event["payload"].get("flow_id")
        for event in queued
        if event["trigger"] == {"type": "timer", "name": "schedules"}
    )
    assert {flow: by_timer[flow] for flow in again} == dict.fromkeys(again, 1)
