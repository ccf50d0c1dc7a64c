from pathlib import Path

SAMPLE = (Path(__file__).parents[2] / "samples" / "orders.csv").read_bytes()


def test_sample_file_is_imported_and_events_are_published(api, counts_of, outbox):
    status = api.run_import(SAMPLE)
    assert status["status"] == "SUCCESS"
    assert counts_of(status) == (62, 137, 2, 0)
    assert (status["current"], status["total"], status["percent"]) == (201, 201, 100.0)
    assert status["started_at"] and status["finished_at"] and status["file_name"] == "orders.csv"
    names = [name for name, _ in outbox()]
    assert names == ["OrdersImportStarted", "orders.import", "OrdersImported"]


def test_repeated_import_reports_duplicates_and_changes_nothing(api, counts_of):
    api.run_import(SAMPLE)
    before = api.orders().json["result"]
    repeated = api.run_import(SAMPLE)
    assert counts_of(repeated) == (0, 0, 201, 0)
    assert api.orders().json["result"] == before


def test_file_in_a_form_is_imported_like_a_body(api, counts_of):
    response = api.send_form(SAMPLE, remark="for Ann")
    assert response.status_code == 202
    assert counts_of(api.finish(response.json["result"]["task_id"])) == (62, 137, 2, 0)


def test_dry_run_validates_all_rows_and_stores_no_orders(api, counts_of):
    status = api.run_import(SAMPLE, "?dry_run=1")
    assert counts_of(status) == (62, 137, 2, 0)
    assert api.orders().json["total"] == 0
    assert api.orders().json["result"] == []


def test_dry_run_detects_duplicates_of_earlier_steps_and_of_orders(api, counts_of, build_csv, build_row, monkeypatch):
    monkeypatch.setattr("chassis.db.stored_uploads.CHUNK_BYTES", 1)
    monkeypatch.setattr("orders_service.routes.forms._READ_BYTES", 5)
    api.run_import(build_csv(build_row(1)))
    status = api.run_import(build_csv(build_row(1), build_row(2), build_row(3), build_row(2)), "?dry_run=1")
    assert counts_of(status) == (2, 0, 2, 0)


def test_file_without_rows_succeeds(api, counts_of, build_csv):
    for content in (b"", b"\n\r\n", b"\xef\xbb\xbf", build_csv(), build_csv()[:-1], build_csv(end="\r\n")):
        status = api.run_import(content)
        assert (status["status"], status["total"], counts_of(status)) == ("SUCCESS", 0, (0, 0, 0, 0)), content


def test_missing_column_fails_the_import_and_is_named(api, outbox):
    status = api.run_import(b"id|name|email|state|plz|birthday\n1|a|b|c|d|e\n")
    assert status["status"] == "FAILURE"
    assert status["message"] == (
        "the header must be id|name|email|state|zipcode|birthday, but lacks the column zipcode; "
        "its columns are id, name, email, state, plz, birthday; "
        'map other names with the parameter columns, as in columns={"zipcode":"PLZ"}'
    )
    (body,) = [body for name, body in outbox() if name == "OrdersImportFailed"]
    assert body["payload"]["names"] == ["zipcode"]


def test_cancelled_import_ends_before_its_next_step(api, client, build_csv, build_row, monkeypatch):
    monkeypatch.setattr("chassis.db.stored_uploads.CHUNK_BYTES", 25)
    monkeypatch.setattr("orders_service.routes.forms._READ_BYTES", 25)
    task = api.start_import(build_csv(*(build_row(id) for id in range(20))))
    api.run_slice(task)
    assert client.delete(f"/acme_orders/api/v1/orders/import/status/{task}").status_code == 202
    before = api.status(task)
    status = api.finish(task)
    assert (status["status"], status["message"]) == ("FAILURE", "cancelled")
    assert status["valid"] == before["valid"] == api.orders().json["total"]
    assert client.delete(f"/acme_orders/api/v1/orders/import/status/{task}").status_code == 409
