import json

import pytest

from event_service.domain.events import MAX_EVENT_BYTES

JSON = "application/json"


def post(api, raw, content_type=JSON, **headers):
    all_headers = {
        "X-Producer-ID": "producer",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return api.client.post(f"{api.path}/events", data=raw, content_type=content_type, headers=all_headers)


def assert_rejected(api, outbox, response, status=400):
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert response.json.startswith("Bad Request - " if status == 400 else "Content Too Large - ")
    assert api.read().status_code == 404
    assert outbox() == []


def with_payload(an_event, text):
    return json.dumps(an_event(payload={"p": "@"})).replace('"@"', text).encode()


@pytest.mark.parametrize(
    "raw",
    [b"", b"null", b"[]", b'"x"', b"1", b"true", b"{", b'{"event":', b"{}{}", b"{} x", b"\xef\xbb\xbf{}",
     "{}".encode("utf-16"),
     b'{"event":"\xe9"}', b"[[]]", b"[" * 100_000, b'{"a":' * 100_000, b"9" * 5000],
)  # fmt: skip
def test_body_that_is_not_an_event_is_rejected(api, outbox, raw):
    assert_rejected(api, outbox, post(api, raw))


@pytest.mark.parametrize(
    "text",
    ["NaN", "Infinity", "-Infinity", "1e400", "9" * 5000, r'"\u0000"', r'"\ud800"', r'"\udc00\ud800"', '{"a":1,"a":2}',
     "[" * 62 + "{}" + "]" * 62 + " x", "[" * 64 + "]" * 64, '"\n"', "'x'", "01", "+1", ".5"],
)  # fmt: skip
def test_payload_that_json_or_postgres_cannot_store_is_rejected(api, outbox, an_event, text):
    assert_rejected(api, outbox, post(api, with_payload(an_event, text)))


@pytest.mark.parametrize(
    "text",
    ["9" * 4000, "1.0", "1e300", "-0.0", "18446744073709551616", '"\\u00e9"', '"\U0001f377"',
     '"\\ud83c\\udf77"', "[" * 62 + "]" * 62,
     json.dumps("x" * 200_000),
     '{"__proto__":{"constructor":1}}', '"\\n\\t\\u001b"', '"\u2028"', '"\'; DROP TABLE events; --"',
     '"$$ %s %(x)s \\\\ {0}"'],
)  # fmt: skip
def test_payload_is_read_back_equal(api, an_event, text):
    raw = with_payload(an_event, text)
    assert post(api, raw).status_code == 200
    (event,) = api.read().json
    assert event["payload"] == json.loads(raw)["payload"]
    assert json.dumps(event["payload"]) == json.dumps(json.loads(raw)["payload"])


@pytest.mark.parametrize(
    "content_type",
    [None, "", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-7",
     "application/json; charset=latin-1",
     "application/jsonx", "application/ld+json"],
)  # fmt: skip
def test_other_content_type_returns_400(api, outbox, an_event, content_type):
    assert_rejected(api, outbox, post(api, json.dumps(an_event()).encode(), content_type))


@pytest.mark.parametrize("encoding", ["gzip", "br", "identity, gzip"])
def test_body_with_content_encoding_is_rejected(api, outbox, an_event, encoding):
    assert_rejected(api, outbox, post(api, json.dumps(an_event()).encode(), Content_Encoding=encoding))


def test_content_type_and_charset_are_case_insensitive(api, an_event):
    assert post(api, json.dumps(an_event()).encode(), "Application/JSON; charset=UTF-8").status_code == 200


@pytest.mark.parametrize("producer", [None, "", " ", "a,b", ".", "..", "x" * 256, "a\tb", "\xff"])
def test_missing_or_invalid_producer_returns_400_that_names_the_header(api, outbox, an_event, producer):
    headers = {} if producer is None else {"X-Producer-ID": producer}
    response = api.client.post(f"{api.path}/events", json=an_event(), headers=headers)
    assert_rejected(api, outbox, response)
    assert "X-Producer-ID: " in response.json


@pytest.mark.parametrize("expected", ["", "-1", "x", "1.0", "1,1", "１", "9" * 30, "+1", "0x1"])
def test_invalid_expected_position_returns_400_that_names_the_header(api, outbox, an_event, expected):
    header = expected.encode().decode("latin-1")
    response = api.append(an_event(), X_Expected_Position=header)
    assert_rejected(api, outbox, response)
    assert "X-Expected-Position: " in response.json


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "\xe9"])
def test_invalid_idempotency_key_is_rejected(api, outbox, an_event, key):
    assert_rejected(api, outbox, api.append(an_event(), Idempotency_Key=key))


@pytest.mark.parametrize(
    "path",
    ["%2e", "%2E%2E", "a%2Fb", "%20", "%00", "%ff", "%c0%af", "%ed%a0%80", "a%0ab", "a%1bb", "%7f", "%C2%85", "x" * 256,
     "%F0%9F%8D%B7" * 256],
)  # fmt: skip
def test_path_with_an_invalid_stream_name_is_rejected(client, an_event, path, outbox):
    response = client.post(f"/api/v1/streams/{path}/events", json=an_event(), headers={"X-Producer-ID": "p"})
    assert response.status_code == 400
    assert response.json.startswith("Bad Request - ")
    assert outbox() == []


@pytest.mark.parametrize(
    "name",
    [
        "é",
        "e\u0301",
        "\ufffd",
        "שלום",
        "🍷" * 255,
        "a b",
        "'; DROP TABLE streams; --",
        "%25",
        "C:\\x",
        "{{7*7}}",
        "events",
    ],
)
def test_any_plain_text_is_a_valid_stream_name(api_for, app, name):
    from urllib.parse import quote

    api = api_for(app, quote(name, safe=""))
    assert api.append().status_code == 200
    assert api.read().json[0]["stream"] == name


@pytest.mark.parametrize("query", ["?x=1", "?eventName=A"])
def test_append_rejects_query_parameters(client, an_event, query):
    response = client.post(f"/api/v1/streams/s/events{query}", json=an_event(), headers={"X-Producer-ID": "p"})
    assert response.status_code == 400


def event_of_size(an_event, size_bytes):
    padding = size_bytes - len(json.dumps(an_event(payload={"p": ""})))
    return json.dumps(an_event(payload={"p": "x" * padding})).encode()


def test_event_may_have_at_most_256_kib(api, outbox, an_event):
    assert_rejected(api, outbox, post(api, event_of_size(an_event, MAX_EVENT_BYTES + 1)), status=413)
    assert post(api, event_of_size(an_event, MAX_EVENT_BYTES)).status_code == 200


def test_events_of_an_array_may_have_256_kib_and_the_array_1_mib(api, outbox, an_event):
    large, small = event_of_size(an_event, MAX_EVENT_BYTES - 1000), event_of_size(an_event, 1000)
    too_large = event_of_size(an_event, MAX_EVENT_BYTES + 100)
    assert_rejected(api, outbox, post(api, b"[" + small + b"," + too_large + b"]"), status=413)
    assert_rejected(api, outbox, post(api, b"[" + b",".join([large] * 5) + b"]"), status=413)
    assert post(api, b"[" + b",".join([large] * 4) + b"]").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("DELETE", "/api/v1/streams/s/events", {"GET", "HEAD", "OPTIONS", "POST"}), ("PATCH", "/api/v1/streams",
     {"GET", "HEAD", "OPTIONS"}),
     ("HEAD", "/api/v1/streams/s/live", {"GET", "OPTIONS"})],
)  # fmt: skip
def test_wrong_method_returns_405_with_allowed_methods(client, method, path, allowed):
    response = client.open(path, method=method)
    assert response.status_code == 405
    assert set(response.headers["Allow"].split(", ")) == allowed


@pytest.mark.parametrize(
    "path", ["/", "/api/v1", "/api/v1/streams//events", "/api/v1/streams/", "/api/v1/streams/s/events/"]
)
def test_unknown_path_returns_404(client, path):
    response = client.get(path)
    assert response.status_code == 404
    assert response.json.startswith("Not Found - ")


def test_unexpected_error_exposes_no_internals(app, api, monkeypatch):
    from event_service.store import feeds

    monkeypatch.setattr(feeds, "find_unread_page", lambda *_: {}["secret"])
    response = api.read()
    assert response.status_code == 500
    assert response.json.startswith("Internal Server Error - ")
    assert "secret" not in response.text
