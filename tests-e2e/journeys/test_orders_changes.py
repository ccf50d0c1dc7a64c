"""Orders are updated and deleted through the gateway, once each, also while the worker and Postgres are killed."""

import time

import pytest

from quintet_e2e import orders
from quintet_e2e.clients import ok_json
from quintet_e2e.faults import assert_recovered, seeded_random
from quintet_e2e.stacks import ON_ONE_STACK
from quintet_testing.waiting import eventually

RECOVERY_SECONDS = 120
ROWS, STORED_ROWS = 120_000, 90_000
KILLS = 4
MAX_KILL_DELAY_SECONDS = 0.05
UPDATE = {"on_duplicate": "update"}


def test_corrected_orders_are_updated_exported_and_undone(stack, client):
    first_id = orders.first_unused_id()
    content = orders.orders_file(first_id, 16)
    created = orders.wait_for_end(client, orders.upload(client, content))
    corrected = content.replace(b"|PA|", b"|TX|").replace(b"67102", b"67101")
    updated = orders.wait_for_end(client, orders.upload(client, corrected, **UPDATE))
    assert (updated["updated"], updated["valid"]) == (16, created["valid"] + 2)
    lines = client.get(f"{orders.API}.csv", params={"name": "davis walters", "zipcode": "67101"}).text.splitlines()
    assert f"{first_id + 1},Davis Walters,davis@example.edu,TX,67101,1941-03-21,true," in lines
    assert client.send("DELETE", f"{orders.API}/{first_id}").status_code == 204
    response = client.send("DELETE", f"{orders.API}/import/{created['task_id']}")
    assert response.status_code == 202, response.text
    undo = wait_for_undo(client, created["task_id"])
    assert (undo["deleted"], undo["not_restored"]) == (15, 0)
    assert orders.stored_summary(stack, first_id, 16)[0] == 0


def wait_for_undo(client, task_id):
    def finished():
        undo = orders.get_status(client, task_id)["undo"]
        return undo["status"] == "SUCCESS" and undo

    return eventually(finished, RECOVERY_SECONDS)


@pytest.mark.fault
@ON_ONE_STACK
def test_updating_import_and_undo_that_are_repeatedly_killed_have_same_result_as_undisturbed_ones(stack, client):
    random = seeded_random()
    undisturbed_id, disturbed_id = orders.first_unused_id(), orders.first_unused_id()
    for first_id in (undisturbed_id, disturbed_id):
        stored = orders.wait_for_end(client, orders.upload(client, orders.orders_file(first_id, STORED_ROWS)))
    undisturbed = orders.wait_for_end(client, orders.upload(client, updated_file(undisturbed_id), **UPDATE))
    stack.stop("orders-worker")
    task_id = orders.upload(client, updated_file(disturbed_id), **UPDATE)
    kill_repeatedly(stack, task_id, "valid + invalid + duplicates + rejected", ROWS, random)
    disturbed = orders.wait_for_end(client, task_id)
    assert disturbed["status"] == undisturbed["status"] == "SUCCESS"
    assert orders.row_counts(disturbed) == orders.row_counts(undisturbed)
    assert STORED_ROWS > disturbed["updated"] == undisturbed["updated"] > 0
    assert orders.stored_summary(stack, disturbed_id, ROWS) == orders.stored_summary(stack, undisturbed_id, ROWS)
    assert orders.get_errors(client, task_id) == orders.get_errors(client, undisturbed["task_id"])
    assert_recovered(stack)

    stack.stop("orders-worker")
    response = client.send_with_retry("DELETE", f"{orders.API}/import/{stored['task_id']}", headers={})
    assert ok_json(response)["result"]["undo"]["status"] == "PENDING"
    kill_repeatedly(stack, stored["task_id"], "undo_deleted", STORED_ROWS, random)
    assert wait_for_undo(client, stored["task_id"])["deleted"] == STORED_ROWS
    created = disturbed["valid"] + disturbed["invalid"] - disturbed["updated"]
    assert orders.stored_summary(stack, disturbed_id, ROWS)[0] == created
    assert_recovered(stack)


def updated_file(first_id):
    """Return a file with new names for most of the stored orders, and with new orders, duplicates and bad rows."""
    content = orders.orders_file(first_id, ROWS, has_bad_ids=True)
    return content.replace(b"|Stone Dominguez|", b"|Stone Updated|").replace(b"|Knox Weber|", b"|Knox Updated|")


def kill_repeatedly(stack, task_id, counter, total, random):
    """Start the worker, and kill it and Postgres in turns while the counter of the import increases to its total."""
    statement, history = f"SELECT {counter} FROM orders.imports WHERE id = %(id)s", []

    def count():
        return orders.query_database(stack, statement, id=task_id)[0][0]

    def is_over():
        return count() == total

    for number in range(KILLS):
        with orders.worker_blocked(stack, task_id, RECOVERY_SECONDS, is_over, is_stopped=number == 0):
            history.append(count())
        # On a busy machine, the work may end before the last kill.
        if history[-1] == total:
            break
        # Some kills wait for the next step and some do not, so that half of the work remains at the last kill.
        if history[-1] <= number / KILLS * total / 2:
            eventually(lambda: count() > history[-1], RECOVERY_SECONDS)
        time.sleep(random.uniform(0, MAX_KILL_DELAY_SECONDS))
        if number % 2:
            stack.kill("postgres")
            eventually(stack.is_database_reachable, RECOVERY_SECONDS)
        else:
            stack.crash("orders-worker")
    print(f"killed {KILLS} times, at {history} of {total}")
    assert history == sorted(history) and history[-1] > 0
    assert sum(value < total for value in history) >= 2
