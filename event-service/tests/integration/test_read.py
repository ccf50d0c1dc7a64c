import pytest


def test_reading_does_not_move_the_offset(api):
    api.append_events(3)
    assert api.read(limit=2).json == api.read(limit=2).json
    assert api.sequences(limit=2) == [1, 2]
    assert api.sequences(limit=1) == [1]
    assert api.consumers() == []


def test_each_consumer_has_a_separate_offset_for_each_name(api, an_event):
    ids = api.append([an_event("A"), an_event("B"), an_event("A")]).json
    api.acknowledge(ids[0], consumer="c1")
    assert api.sequences(name="A", consumer="c1") == [2]
    assert api.sequences(name="B", consumer="c1") == [1]
    assert api.sequences(name="A", consumer="c2") == [1, 2]


def test_unknown_stream_returns_404_with_its_name(api, stream):
    response = api.read()
    assert (response.status_code, response.json) == (404, f"Not Found - stream {stream}")
    assert api.read(wait=30).status_code == 404
    response = api.client.get(f"{api.path}/events?from=1&limit=1")
    assert (response.status_code, response.json) == (404, f"Not Found - stream {stream}")


def test_stream_without_events_of_the_name_returns_an_empty_array(api, api_for, app):
    api.append_events()
    assert api.read("Other").json == []
    assert api_for(app, "orders").read("OrderImported").json == []


@pytest.mark.parametrize(
    "query",
    ["", "eventName=A", "limit=1", "eventName=A&limit=0", "eventName=A&limit=1001", "eventName=A&limit=-1",
     "eventName=A&limit=+5",
     "eventName=A&limit=1.0", "eventName=A&limit=1e3", "eventName=A&limit=0x10", "eventName=A&limit=1_0",
     "eventName=A&limit=",
     "eventName=A&limit=%EF%BC%91", "eventName=A&limit=%D9%A1", "eventName=A&limit=9223372036854775808",
     "eventName=A&limit=1&limit=1", "eventName=A&eventName=A&limit=1", "eventName=&limit=1", "eventName=%20&limit=1",
     "eventName=%ff&limit=1", "eventName=%00&limit=1", "eventName=a%0Ab&limit=1", "eventName=..&limit=1",
     "eventName=" + "x" * 256 + "&limit=1", "eventName=A&limit=1&offset=1", "eventName=A&limit[]=1",
     "eventName=A&limit=1&wait=31", "eventName=A&limit=1&wait=-1", "eventName=A&limit=1&wait=nan",
     "eventName=A&limit=1&wait=1e1",
     "eventName=A&limit=1&wait=", "from=1", "from=0&limit=1", "from=1&limit=1&eventName=A",
     "from=1&limit=1&wait=1", "from=x&limit=1",
     "from=1&from=1&limit=1"],
)  # fmt: skip
def test_invalid_query_returns_400(api, query):
    api.append_events(1, "A")
    response = api.client.get(f"{api.path}/events?{query}", headers={"X-Consumer-ID": "c"})
    assert response.status_code == 400, response.text
    assert response.json.startswith("Bad Request - ")
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize("consumer", [None, "", " ", "a,b", "a/b", ".", "..", "x" * 256, "a\tb", b"\xff", b"\xc0\xaf"])
def test_missing_or_invalid_consumer_returns_400_that_names_the_header(api, consumer):
    api.append_events(1, "A")
    headers = (
        {}
        if consumer is None
        else {"X-Consumer-ID": consumer.decode("latin-1") if isinstance(consumer, bytes) else consumer}
    )
    response = api.client.get(f"{api.path}/events?eventName=A&limit=1", headers=headers)
    assert response.status_code == 400
    assert response.json.startswith("Bad Request - X-Consumer-ID: ")


def test_composed_and_decomposed_spellings_are_different_names(api, an_event):
    composed, decomposed, consumer = "caf\u00e9", "cafe\u0301", "Zo\u00eb".encode().decode("latin-1")
    ids = api.append([an_event(composed), an_event(decomposed), an_event("a/b, c")]).json
    for name, id_ in zip((composed, decomposed, "a/b, c"), ids, strict=True):
        assert [event["event"]["id"] for event in api.read(name, consumer=consumer).json] == [id_]


def test_read_from_a_position_returns_all_names_in_order(api, an_event):
    ids = api.append([an_event(name) for name in "ABCAB"]).json
    for first, limit in ((1, 5), (1, 2), (3, 2), (5, 9)):
        page = api.client.get(f"{api.path}/events?from={first}&limit={limit}").json
        assert [event["event"]["id"] for event in page] == ids[first - 1 : first - 1 + limit]
    assert api.client.get(f"{api.path}/events?from=6&limit=1").json == []


def test_get_returns_one_event_or_404(api, api_for, app):
    (id_,) = api.append_events()
    response = api.client.get(f"{api.path}/events/{id_}")
    assert response.json == api.read().json[0]
    assert api.client.get(f"{api.path}/events/{id_.upper()}").json["event"]["id"] == id_
    api_for(app, "another stream").append_events()
    for path in (f"/api/v1/streams/another stream/events/{id_}", f"{api.path}/events/{id_[:-1]}",
    f"{api.path}/events/x",
                 f"{api.path}/events/00000000-0000-0000-0000-000000000000",
                 f"/api/v1/streams/nowhere/events/{id_}"):  # fmt: skip
        assert (api.client.get(path).status_code, api.client.get(path).json) == (404, "Not Found")
