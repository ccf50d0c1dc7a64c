def test_stream_reports_its_producer_counts_and_times(api, an_event, stream):
    api.append([an_event("B"), an_event("A"), an_event("B")])
    state = api.client.get(api.path).json
    assert state["first_at"] <= state["last_at"] and state["last_at"].endswith("Z")
    assert {name: state[name] for name in ("stream", "producer", "events", "position")} == {
        "stream": stream,
        "producer": "producer",
        "events": {"A": 1, "B": 2},
        "position": 3,
    }
    assert state in api.client.get("/api/v1/streams").json["streams"]


def test_streams_of_services_exist_from_the_start(client):
    listing = client.get("/api/v1/streams").json
    assert [stream["stream"] for stream in listing["streams"]] == ["factory", "orders", "sequence", "specstore"]
    assert listing["total"] == 4
    assert client.get("/api/v1/streams/orders").json == {
        "stream": "orders", "producer": "orders", "events": {}, "position": 0, "first_at": None, "last_at": None,
    }  # fmt: skip


def test_streams_are_listed_in_pages(client, api_for, app):
    for name in ("a", "b", "c"):
        api_for(app, name).append()
    page = client.get("/api/v1/streams?limit=2&offset=1").json
    assert ([stream["stream"] for stream in page["streams"]], page["total"]) == (["b", "c"], 7)
    assert client.get("/api/v1/streams?limit=1001").status_code == 400
    assert client.get("/api/v1/streams?offset=-1").status_code == 400


def test_unknown_stream_returns_404(api, stream):
    response = api.client.get(api.path)
    assert (response.status_code, response.json) == (404, f"Not Found - stream {stream}")
