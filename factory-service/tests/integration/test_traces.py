"""The trace of a request: an uploaded file, and handled production."""

ADMIN = {"X-Authenticated-Role": "admin"}


def test_load_is_in_the_trace_of_its_upload(client, db):
    content = b'{"sprockets": [{"teeth": 5, "pitch_diameter": 5, "outside_diameter": 6, "pitch": 1}]}'
    headers = {"X-Request-ID": "r-1", "Content-Type": "application/json"}
    response = client.post("/api/factories/load", data=content, headers=headers)
    assert response.status_code == 202
    entries = client.get("/trace/r-1", headers=ADMIN).get_json()["entries"]
    assert [(entry["kind"], entry["what"]) for entry in entries] == [
        ("load", "a file was uploaded: PENDING"),
        ("job", "factory.load waits to be published"),
    ]
