import pytest


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


def test_streams_with_a_prefix_are_listed_and_counted(client, api_for, app):
    for name in ("a 1", "a 2", "a%2", "b"):
        api_for(app, name).append()

    def listing(**query):
        page = client.get("/api/v1/streams", query_string=query).json
        return [stream["stream"] for stream in page["streams"]], page["total"]

    assert listing(prefix="a ") == (["a 1", "a 2"], 2)
    assert listing(prefix="%") == ([], 0)
    assert listing(prefix="a", limit=2, offset=1)[1] == 3


def test_list_of_streams_continues_after_a_name(client, api_for, app):
    for name in ("a 1", "a 2", "b"):
        api_for(app, name).append()
    names, query = [], {"limit": 2}
    while page := client.get("/api/v1/streams", query_string=query).json["streams"]:
        names += [stream["stream"] for stream in page]
        query["after"] = names[-1]
    assert names == ["a 1", "a 2", "b", "factory", "orders", "sequence", "specstore"]
    page = client.get("/api/v1/streams", query_string={"prefix": "a", "after": "a 1"}).json
    assert ([stream["stream"] for stream in page["streams"]], page["total"]) == (["a 2"], 2)


@pytest.mark.parametrize("parameter", ["prefix", "after"])
@pytest.mark.parametrize("value", ["", "a/b", "a\nb"])
def test_invalid_filter_returns_400_that_names_the_parameter(client, parameter, value):
    response = client.get("/api/v1/streams", query_string={parameter: value})
    assert response.status_code == 400
    assert response.json.startswith(f"Bad Request - {parameter}: ")
