"""The trace of a request: the flow of an uploaded spec."""

ADMIN = {"X-Authenticated-Role": "admin"}


def test_flow_is_in_the_trace_of_its_upload(api, client, a_spec):
    assert api.upload(a_spec(), **{"X-Request-ID": "r-1"}).status_code == 200
    entries = client.get("/trace/r-1", headers=ADMIN).get_json()["entries"]
    flows = [(entry["what"], entry["id"]) for entry in entries if entry["kind"] == "flow"]
    assert flows == [("the spec was uploaded", "ann/wines/1")]
    assert {"job", "event"} <= {entry["kind"] for entry in entries}
