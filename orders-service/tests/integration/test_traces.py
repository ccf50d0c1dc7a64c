"""The trace of a request: its import, and an undo."""

ADMIN = {"X-Authenticated-Role": "admin"}


def test_import_and_undo_are_in_the_traces_of_their_requests(api, client, db, build_csv, build_row):
    task_id = api.upload(build_csv(build_row()), X_Request_ID="r-1").json["result"]["task_id"]
    api.finish(task_id)

    def entries(request_id):
        body = client.get(f"/trace/{request_id}", headers=ADMIN).get_json()
        return [(entry["what"], entry["id"]) for entry in body["entries"] if entry["kind"] == "import"]

    assert [id_ for _, id_ in entries("r-1")] == [task_id, task_id]
    assert entries("r-1")[1][0] == "the import ended: SUCCESS"
    path = f"/acme_orders/api/v1/orders/import/{task_id}"
    assert client.delete(path, headers={"X-Request-ID": "r-2"}).status_code == 202
    assert entries("r-2") == [("the undo was requested", task_id)]
