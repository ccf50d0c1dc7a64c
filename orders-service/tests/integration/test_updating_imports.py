"""Imports with `on_duplicate=update`: rows replace the orders that earlier imports stored."""

import io
from concurrent.futures import ThreadPoolExecutor

import pytest

PATH = "/acme_orders/api/v1/orders"
UPDATE = "?on_duplicate=update"


def count_by_state(api, state, valid):
    return api.orders(state=state, valid=valid).json["total"]


def test_row_replaces_the_order_of_an_earlier_import(api, build_csv, build_row, counts_of):
    api.run_import(build_csv(build_row(1, state="NJ"), build_row(2)))
    status = api.run_import(build_csv(build_row(1, name="Bea", state="NY", zipcode="10002"), build_row(3)), UPDATE)
    assert (counts_of(status), status["updated"], status["on_duplicate"]) == ((2, 0, 0, 0), 1, "update")
    order = api.order(1).json["result"]
    assert (order["name"], order["state"], order["zipcode"], order["valid"]) == ("Bea", "NY", "10002", True)
    assert [count_by_state(api, *key) for key in (("NJ", 0), ("NY", 1), ("TX", 1))] == [0, 1, 2]
    assert api.errors(status["task_id"]).count("\n") == 1


def test_updated_order_is_validated_again(api, build_csv, build_row, counts_of):
    api.run_import(build_csv(build_row(1)))
    status = api.run_import(build_csv(build_row(1, state="NJ")), UPDATE)
    assert (counts_of(status), status["updated"]) == ((0, 1, 0, 0), 1)
    assert not api.order(1).json["result"]["valid"]
    assert api.findings(status["task_id"]) == {2: "allowed_state"}


@pytest.mark.parametrize("query", ["", "?on_duplicate=skip"])
def test_without_update_a_stored_order_is_kept(api, build_csv, build_row, counts_of, query):
    api.run_import(build_csv(build_row(1)))
    status = api.run_import(build_csv(build_row(1, name="Bea")), query)
    assert (counts_of(status), status["updated"], status["on_duplicate"]) == ((0, 0, 1, 0), 0, "skip")
    assert api.order(1).json["result"]["name"] == "Ann Smith"


def test_corrected_error_report_puts_invalid_orders_right(api, build_csv, build_row, counts_of):
    lines = [build_row(id, state="NJ", zipcode=f"1000{id}") for id in range(4)]
    first = api.run_import(build_csv(*lines, build_row(9), "broken"))
    report = api.errors(first["task_id"])
    corrected = api.run_import(report.replace("|NJ|", "|TX|").replace("broken|", "|").encode(), UPDATE)
    assert (counts_of(corrected), corrected["updated"]) == ((4, 0, 0, 1), 4)
    assert api.orders(valid=0).json["total"] == 0


@pytest.mark.parametrize("dry_run", ["", "&dry_run=1"])
@pytest.mark.parametrize("chunk_bytes", [1, 10_000])
def test_within_one_file_the_first_row_wins_also_across_steps(
    api, build_csv, build_row, counts_of, monkeypatch, dry_run, chunk_bytes
):
    monkeypatch.setattr("chassis.db.stored_uploads.CHUNK_BYTES", chunk_bytes)
    monkeypatch.setattr("orders_service.routes.forms._READ_BYTES", 50)
    api.run_import(build_csv(build_row(1, name="old")))
    lines = [build_row(1, name="first"), build_row(2, name="first"), build_row(1, name="second"), build_row(2)]
    status = api.run_import(build_csv(*lines), UPDATE + dry_run)
    assert (counts_of(status), status["updated"]) == ((2, 0, 2, 0), 1)
    assert api.findings(status["task_id"]) == {4: "duplicate", 5: "duplicate"}
    if not dry_run:
        assert [order["name"] for order in api.orders().json["result"]] == ["first", "first"]


def test_dry_run_reports_what_would_be_updated_and_changes_nothing(api, build_csv, build_row, counts_of):
    api.run_import(build_csv(build_row(1)))
    status = api.run_import(build_csv(build_row(1, state="NJ"), build_row(2, zipcode="10002")), f"{UPDATE}&dry_run=1")
    assert (counts_of(status), status["updated"]) == ((1, 1, 0, 0), 1)
    assert [order["id"] for order in api.orders().json["result"]] == [1]
    assert api.order(1).json["result"]["state"] == "TX"


def test_events_state_how_many_orders_were_updated(api, build_csv, build_row, outbox):
    api.run_import(build_csv(build_row(1)))
    api.run_import(build_csv(build_row(1), build_row(2)), UPDATE)
    updated = [body["payload"]["updated"] for name, body in outbox() if name == "OrdersImported"]
    assert updated == [0, 1]


@pytest.mark.parametrize("value", ["replace", "", "UPDATE"])
def test_unknown_value_is_rejected(api, build_csv, build_row, value):
    response = api.upload(build_csv(build_row(1)), f"?on_duplicate={value}")
    assert response.status_code == 400
    assert response.json["message"] == {"on_duplicate": "on_duplicate must be skip or update"}


def test_repeated_key_with_another_value_is_rejected(api, build_csv, build_row):
    content = build_csv(build_row(1))
    assert api.upload(content, UPDATE, Idempotency_Key="a").status_code == 202
    assert api.upload(content, UPDATE, Idempotency_Key="a").headers["Idempotent-Replayed"] == "true"
    assert api.upload(content, "?on_duplicate=skip", Idempotency_Key="a").status_code == 422


def test_parameter_of_a_form_is_accepted(api, client, build_csv, build_row):
    api.run_import(build_csv(build_row(1)))
    form = {"csv_file": (io.BytesIO(build_csv(build_row(1, name="Bea"))), "orders.csv")}
    response = client.post(f"{PATH}/import{UPDATE}", data=form)
    assert api.finish(response.json["result"]["task_id"])["updated"] == 1


def shuffled(ids, multiplier):
    return [ids[index * multiplier % len(ids)] for index in range(len(ids))]


@pytest.mark.parametrize("queries", [(UPDATE, UPDATE), (UPDATE, ""), ("", UPDATE)])
def test_concurrent_imports_apply_each_row_once(
    api, build_csv, build_row, counts_of, run_slice_with_retries, monkeypatch, queries
):
    monkeypatch.setattr("chassis.db.stored_uploads.CHUNK_BYTES", 750)
    monkeypatch.setattr("orders_service.routes.forms._READ_BYTES", 250)
    ids = list(range(600))
    # Some exist already, some are invalid, and the files have them in different orders.
    api.run_import(build_csv(*(build_row(id, state="NY", name="stored") for id in ids[::3])))
    tasks = []
    for number, query in enumerate(queries):
        lines = [
            build_row(id, name=f"file {number}", state=("TX", "NJ")[id % 2], zipcode=f"1000{id % 7}")
            for id in shuffled(ids, (7, 11)[number])
        ]
        tasks.append(api.start_import(build_csv(*lines), query))
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(run_slice_with_retries, tasks))
    statuses = [api.status(task) for task in tasks]
    assert [status["status"] for status in statuses] == ["SUCCESS", "SUCCESS"]
    assert [sum(counts_of(status)) for status in statuses] == [600, 600]
    created = [status["valid"] + status["invalid"] - status["updated"] for status in statuses]
    assert sum(created) == 400 and api.orders().json["total"] == 600
    for number, (query, status) in enumerate(zip(queries, statuses, strict=True)):
        if query == UPDATE:
            assert status["duplicates"] == 0
        else:
            # The rows of the import that does not update are kept only where the other one updated before.
            assert status["updated"] == 0 and status["duplicates"] == 600 - created[number]
    with api.db.transaction() as tx:
        names = {name for (name,) in tx.rows("SELECT DISTINCT name FROM orders")}
    assert "stored" not in names


@pytest.mark.fault
def test_update_killed_at_any_statement_has_the_same_outcome(
    api, build_csv, build_row, counts_of, kill_after, run_slice_with_retries, monkeypatch
):
    monkeypatch.setattr("chassis.db.stored_uploads.CHUNK_BYTES", 750)
    monkeypatch.setattr("orders_service.routes.forms._READ_BYTES", 250)
    api.run_import(build_csv(*(build_row(id, state="NY") for id in range(0, 2900, 2))))
    lines = [
        build_row(id % 2900, name=f"row {id}", state=("NJ", "TX")[id // 7 % 2], zipcode=f"1000{id // 3 % 5}")
        for id in range(3000)
    ]
    content = build_csv(*lines, '"broken', *lines[:20])
    reference = api.run_import(content, f"{UPDATE}&dry_run=1")
    task = api.start_import(content, UPDATE)
    kills = 0
    while api.status(task)["status"] in ("PENDING", "PROGRESS"):
        kills += 1
        with kill_after(kills * 7 % 40 + 1):
            run_slice_with_retries(task)
    assert kills > 5
    status = api.status(task)
    assert (counts_of(status), status["updated"]) == (counts_of(reference), reference["updated"])
    assert status["updated"] == 1450 and status["duplicates"] == 120
    assert api.findings(task) == api.findings(reference["task_id"])
    with api.db.transaction() as tx:
        wrong = "SELECT count(*) FROM orders WHERE name <> 'row ' || id"
        assert tx.value(wrong) == 0
