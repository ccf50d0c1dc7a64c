from pathlib import Path

SAMPLE = (Path(__file__).parents[2] / "samples" / "orders.csv").read_bytes()


def test_the_sample_is_judged_and_told(api, counted, outbox):
    status = api.imported(SAMPLE)
    assert status["status"] == "SUCCESS"
    assert counted(status) == (62, 137, 2, 0)
    assert (status["current"], status["total"], status["percent"]) == (201, 201, 100.0)
    assert status["started_at"] and status["finished_at"] and status["file_name"] == "orders.csv"
    names = [name for name, _ in outbox()]
    assert names == ["OrdersImportStarted", "orders.import", "OrdersImported"]


def test_the_same_file_again_changes_nothing(api, counted):
    api.imported(SAMPLE)
    before = api.orders().json["result"]
    again = api.imported(SAMPLE)
    assert counted(again) == (0, 0, 201, 0)
    assert api.orders().json["result"] == before


def test_a_form_is_the_same_as_the_body(api, counted):
    response = api.send_form(SAMPLE, remark="for Ann")
    assert response.status_code == 202
    assert counted(api.finish(response.json["result"]["task_id"])) == (62, 137, 2, 0)


def test_a_dry_run_judges_everything_and_stores_nothing(api, counted):
    status = api.imported(SAMPLE, "?dry_run=1")
    assert counted(status) == (62, 137, 2, 0)
    assert api.orders().json["total"] == 0
    assert api.orders().json["result"] == []


def test_a_dry_run_finds_duplicates_of_earlier_steps_and_of_orders(api, counted, a_file, an_order, monkeypatch):
    monkeypatch.setattr("orders_service.operations.upload_receiver.BLOCK_BYTES", 1)
    monkeypatch.setattr("orders_service.routes.forms._READ_BYTES", 5)
    api.imported(a_file(an_order(1)))
    assert counted(api.imported(a_file(an_order(1), an_order(2), an_order(3), an_order(2)), "?dry_run=1")) == (
        2,
        0,
        2,
        0,
    )


def test_an_empty_file_and_one_with_only_a_header_succeed(api, counted, a_file):
    for content in (b"", b"\n\r\n", b"\xef\xbb\xbf", a_file(), a_file()[:-1], a_file(end="\r\n")):
        status = api.imported(content)
        assert (status["status"], status["total"], counted(status)) == ("SUCCESS", 0, (0, 0, 0, 0)), content


def test_a_wrong_header_fails_the_import_and_is_named(api, outbox):
    status = api.imported(b"id|name|email|state|zip|birthday\n1|a|b|c|d|e\n")
    assert status["status"] == "FAILURE"
    assert status["message"] == "the header lacks a column: zipcode"
    (body,) = [body for name, body in outbox() if name == "OrdersImportFailed"]
    assert body["payload"]["names"] == ["zipcode"]


def test_a_cancelled_import_ends_before_its_next_step(api, client, a_file, an_order, monkeypatch):
    monkeypatch.setattr("orders_service.operations.upload_receiver.BLOCK_BYTES", 25)
    monkeypatch.setattr("orders_service.routes.forms._READ_BYTES", 25)
    task = api.accepted(a_file(*(an_order(id) for id in range(20))))
    api.run_slice(task)
    assert client.delete(f"/acme_orders/api/v1/orders/import/status/{task}").status_code == 202
    before = api.status(task)
    status = api.finish(task)
    assert (status["status"], status["message"]) == ("FAILURE", "cancelled")
    assert status["valid"] == before["valid"] == api.orders().json["total"]
    assert client.delete(f"/acme_orders/api/v1/orders/import/status/{task}").status_code == 409
