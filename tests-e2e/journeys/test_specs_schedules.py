"""A scheduled dataset runs once when it is due, even with two or three workers."""

from collections import Counter
from contextlib import contextmanager

import pytest

from quintet_e2e.faults import assert_recovered
from quintet_e2e.orders import query_database
from quintet_e2e.specs import Owner
from quintet_e2e.stacks import LocalStack
from quintet_e2e.streams import read_events
from quintet_testing.waiting import eventually

DATASETS = 12
RUN_SECONDS = 300
WORKER = "specstore-worker"

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("stack", ["local", "replicas"], indirect=True)]

# Three days and half an hour ago: the missed runs become one run, and the next one is due in half an hour.
SET_OVERDUE = """
    UPDATE specstore.datasets SET due_at = now() - interval '3 days 30 minutes'
    WHERE owner = %(owner)s AND name = ANY (%(names)s)
"""
COUNT_NEXT_DUE = """
    SELECT count(*) FROM specstore.datasets WHERE owner = %(owner)s AND name = ANY (%(names)s)
    AND due_at BETWEEN now() + interval '20 minutes' AND now() + interval '30 minutes'
"""


@pytest.fixture
def owner(client):
    return Owner(client)


def registered_workers(stack):
    return set(query_database(stack, "SELECT worker FROM specstore.workers"))


@contextmanager
def several_workers(stack):
    """Let at least two workers run until the block ends."""
    existing_workers = registered_workers(stack)
    if not isinstance(stack, LocalStack):
        assert len(existing_workers) > 1
        yield
        return
    with stack.extra_process(WORKER):
        eventually(lambda: registered_workers(stack) - existing_workers, RUN_SECONDS)
        yield


def test_due_datasets_run_once_with_several_workers(stack, client, owner):
    datasets, last_dataset = [owner.new_dataset_name() for _ in range(DATASETS)], owner.new_dataset_name()
    for dataset in (*datasets, last_dataset):
        owner.wait_for_end(owner.upload(dataset, schedule="every 1h"))
    with several_workers(stack):
        query_database(stack, SET_OVERDUE, owner=owner.id, names=datasets)
        for dataset in datasets:
            eventually(lambda dataset=dataset: len(owner.list_revisions(dataset)) > 1, RUN_SECONDS)
        # When the last dataset has run, all workers have checked again.
        query_database(stack, SET_OVERDUE, owner=owner.id, names=[last_dataset])
        eventually(lambda: len(owner.list_revisions(last_dataset)) > 1, RUN_SECONDS)
        second_flows = [f"{owner.id}/{dataset}/2" for dataset in (*datasets, last_dataset)]
        assert {owner.wait_for_end(flow)["state"] for flow in second_flows} == {"SUCCEEDED"}
    assert [owner.list_revisions(dataset) for dataset in datasets] == [[2, 1]] * DATASETS
    assert query_database(stack, COUNT_NEXT_DUE, owner=owner.id, names=[*datasets, last_dataset]) == [(DATASETS + 1,)]
    for dataset in (*datasets, last_dataset):
        owner.wait_for_end(owner.upload(dataset))
    assert_recovered(stack)
    queued = [event for event in read_events(client, "specstore") if event["event"]["name"] == "FlowQueued"]
    by_timer = Counter(
        event["payload"].get("flow_id")
        for event in queued
        if event["trigger"] == {"type": "timer", "name": "schedules"}
    )
    assert {flow: by_timer[flow] for flow in second_flows} == dict.fromkeys(second_flows, 1)
