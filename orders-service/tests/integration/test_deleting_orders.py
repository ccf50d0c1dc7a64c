"""Deleting single orders."""

from concurrent.futures import ThreadPoolExecutor

import pytest

PATH = "/acme_orders/api/v1/orders"


@pytest.fixture
def delete(client):
    return lambda order_id, **headers: client.delete(f"{PATH}/{order_id}", headers=headers)


def test_deleted_order_is_not_found_and_not_counted(api, build_csv, build_row, delete):
    api.run_import(build_csv(build_row(1, state="nj"), build_row(2), build_row(-3, state="XYZ")))
    response = delete(1)
    assert (response.status_code, response.data) == (204, b"")
    assert api.order(1).status_code == 404
    assert [api.orders(**query).json["total"] for query in ({}, {"state": "NJ"}, {"state": "TX"})] == [2, 0, 1]
    assert delete(-3).status_code == 204
    assert api.orders().json["total"] == 1


@pytest.mark.parametrize(
    ("order_id", "message"),
    [
        ("7", "order not found"),
        ("9" * 30, "order not found"),
        ("ab", "endpoint not found"),
        ("1.5", "endpoint not found"),
    ],
)
def test_unknown_order_is_not_found(api, build_csv, build_row, delete, order_id, message):
    api.run_import(build_csv(build_row(1)))
    response = delete(order_id)
    assert (response.status_code, response.json["message"]) == (404, message)
    assert api.orders().json["total"] == 1


def test_deleted_order_is_not_found_again_unless_the_key_is_repeated(api, build_csv, build_row, delete):
    api.run_import(build_csv(build_row(1)))
    key = {"Idempotency-Key": "delete"}
    assert [delete(1, **key).status_code, delete(1, **key).status_code, delete(1).status_code] == [204, 204, 404]


def test_order_of_the_previous_version_can_be_deleted(api, db, build_csv, build_row, delete):
    api.run_import(build_csv(build_row(1), build_row(2)))
    with db.transaction() as tx:
        tx.run("UPDATE orders SET import_number = NULL")
        tx.run("UPDATE imports SET created = 0, first_id = NULL, last_id = NULL")
    assert [delete(1).status_code, delete(2).status_code] == [204, 204]


def test_order_deleted_concurrently_is_deleted_and_counted_once(api, build_csv, build_row, app):
    api.run_import(build_csv(*(build_row(id) for id in range(20))))
    with ThreadPoolExecutor(4) as threads:
        delete = lambda order_id: app.test_client().delete(f"{PATH}/{order_id}").status_code  # noqa: E731
        statuses = list(threads.map(delete, [id for id in range(20) for _ in range(4)]))
    assert (statuses.count(204), statuses.count(404)) == (20, 60)
    assert api.orders().json["total"] == 0


def test_order_can_be_deleted_while_imports_update_it(api, app, build_csv, build_row, run_slice_with_retries):
    api.run_import(build_csv(*(build_row(id) for id in range(50))))
    content = build_csv(*(build_row(id, name="updated") for id in range(50)))
    tasks = [api.start_import(content, "?on_duplicate=update") for _ in range(2)]
    with ThreadPoolExecutor(3) as threads:
        imports = [threads.submit(run_slice_with_retries, task) for task in tasks]
        delete = lambda order_id: app.test_client().delete(f"{PATH}/{order_id}").status_code  # noqa: E731
        statuses = list(threads.map(delete, range(50)))
        for import_ in imports:
            import_.result()
    # A stored order is deleted, never "not found" because it is being replaced.
    assert set(statuses) == {204}
