"""Migration 0008 adds what updates and undo need; processes of the previous version continue to work."""

import uuid

import pytest

FIRST_NEW_MIGRATION = "0008"
PATH = "/acme_orders/api/v1/orders"
OLD_ORDERS = """
    INSERT INTO orders (id, name, email, state, zipcode, birthday, failed)
    SELECT id, 'old', 'old@example.com', 'TX', '10001', '1963-02-27', 0 FROM generate_series(%(first)s, %(last)s) AS id
"""


@pytest.fixture
def store_as_old_version(old_database):
    """Return a function that stores an import with orders as a worker of the previous version does."""

    def store(first, last):
        id_, count = str(uuid.uuid4()), last - first + 1
        old_database.run(
            """
            INSERT INTO imports (id, username, request_id, file_name, dry_run, batch_no, uploaded_at, total, blocks,
                                 status, valid, started_at, finished_at, next_block)
            VALUES (%(id)s, '', 'r', 'old.csv', false, 1, now(), %(count)s, 1, 'SUCCESS', %(count)s, now(), now(), 1)
            """,
            id=id_,
            count=count,
        )
        old_database.run(OLD_ORDERS, first=first, last=last)
        old_database.run("INSERT INTO order_counts VALUES ('TX', true, %(count)s)", count=count)
        return id_

    return store


def invariants(api):
    return api.client.get("/invariants").json


def test_orders_that_are_older_than_the_migration_are_kept_updated_and_deleted(
    store_as_old_version, upgrade, build_csv, build_row
):
    store_as_old_version(1, 10)
    api = upgrade()
    assert invariants(api)["status"] == "OK"
    updated = api.run_import(build_csv(build_row(1, name="new", state="NJ"), build_row(11)), "?on_duplicate=update")
    assert (updated["valid"], updated["invalid"], updated["updated"]) == (1, 1, 1)
    assert [api.client.delete(f"{PATH}/{order_id}").status_code for order_id in (1, 2)] == [204, 204]
    assert (api.orders().json["total"], api.orders(state="NJ").json["total"]) == (9, 0)
    assert invariants(api)["status"] == "OK", invariants(api)


@pytest.mark.parametrize("is_stored_before", [True, False])
def test_import_of_an_old_process_cannot_be_undone(store_as_old_version, upgrade, is_stored_before):
    task = store_as_old_version(1, 10) if is_stored_before else None
    api = upgrade()
    task = task or store_as_old_version(1, 10)
    response = api.client.delete(f"{PATH}/import/{task}")
    assert (response.status_code, response.json["status_code"]) == (409, 409)
    assert "earlier version" in response.json["message"]
    assert api.orders().json["total"] == 10
    assert invariants(api)["status"] == "OK", invariants(api)


def test_import_that_an_old_process_continues_cannot_be_undone(old_database, upgrade, build_csv, build_row):
    api = upgrade()
    task = api.run_import(build_csv(build_row(1)))["task_id"]
    old_database.run(OLD_ORDERS, first=2, last=3)
    old_database.run("UPDATE imports SET valid = valid + 2, total = total + 2")
    old_database.run("INSERT INTO order_counts VALUES ('TX', true, 2)")
    assert api.client.delete(f"{PATH}/import/{task}").status_code == 409
    assert invariants(api)["status"] == "OK", invariants(api)
