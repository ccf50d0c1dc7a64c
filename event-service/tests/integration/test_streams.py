def test_a_stream_says_what_is_in_it(api, an_event, stream):
    api.append([an_event("B"), an_event("A"), an_event("B")])
    found = api.client.get(api.path).json
    assert found["first_at"] <= found["last_at"] and found["last_at"].endswith("Z")
    assert {name: found[name] for name in ("stream", "producer", "events", "position")} == {
        "stream": stream,
        "producer": "producer",
        "events": {"A": 1, "B": 2},
        "position": 3,
    }
    assert found in api.client.get("/api/v1/streams").json["streams"]


def test_the_services_streams_are_there_from_the_start(client):
    found = client.get("/api/v1/streams").json
    assert [stream["stream"] for stream in found["streams"]] == ["factory", "orders", "sequence", "specstore"]
    assert found["total"] == 4
    assert client.get("/api/v1/streams/orders").json == {
        "stream": "orders", "producer": "orders", "events": {}, "position": 0, "first_at": None, "last_at": None,
    }  # fmt: skip


def test_streams_come_in_pages(client, api_of, app):
    for name in ("a", "b", "c"):
        api_of(app, name).append()
    page = client.get("/api/v1/streams?limit=2&offset=1").json
    assert ([stream["stream"] for stream in page["streams"]], page["total"]) == (["b", "c"], 7)
    assert client.get("/api/v1/streams?limit=1001").status_code == 400
    assert client.get("/api/v1/streams?offset=-1").status_code == 400


def test_an_unknown_stream_is_not_found(api, stream):
    response = api.client.get(api.path)
    assert (response.status_code, response.json) == (404, f"Not Found - stream {stream}")
