"""The trace of a request: the events that were appended."""

ADMIN = {"X-Authenticated-Role": "admin"}


def test_appended_events_are_in_the_trace_of_their_request(api, client, an_event):
    trigger = {"type": "request", "name": "r-1"}
    ids = [
        api.append(an_event(), X_Request_ID="r-1").get_json(),
        api.append(an_event("OrderPaid", trigger=trigger), X_Request_ID="r-1").get_json(),
    ]
    api.append(an_event(), X_Request_ID="r-2")
    entries = client.get("/trace/r-1", headers=ADMIN).get_json()["entries"]
    events = [entry for entry in entries if "waits" not in entry["what"]]
    assert [(entry["kind"], entry["what"], entry["id"], entry["caused_by"]) for entry in events] == [
        ("event", f"OrderPlaced in {api.stream}", ids[0], "system /path/to/script.php"),
        ("event", f"OrderPaid in {api.stream}", ids[1], "request"),
    ]
    assert sorted(entry["id"] for entry in entries if "waits" in entry["what"]) == sorted(ids)


def test_erased_event_stays_in_the_trace_without_its_trigger(api, client, an_event):
    (event_id,) = api.append_events()
    request_id = api.get(f"/events/{event_id}").get_json()["request_id"]
    assert api.as_user("root", "admin").erase(event_id).status_code == 204
    entries = client.get(f"/trace/{request_id}", headers=ADMIN).get_json()["entries"]
    assert [entry["caused_by"] for entry in entries if "waits" not in entry["what"]] == [None]
