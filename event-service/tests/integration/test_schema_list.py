"""Schemas can be read, listed and deleted."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from event_service.app import create_app

NUMBERS = {"properties": {"n": {"type": "integer"}}}
FORBIDDEN = (
    "Forbidden - the stream belongs to another user or has no owner yet: only its owner and admins may set schemas"
)


def delete(api, name="OrderPlaced", version=1):
    return api.client.delete(f"{api.path}/schemas/{name}/{version}", headers=api.identity)


def keys(api, query=""):
    listing = api.get(f"/schemas{query}").json
    return [(schema["eventName"], schema["version"]) for schema in listing["schemas"]], listing["total"]


@pytest.fixture(params=["before the first event", "after it"])
def schema_api(request, api):
    if request.param == "after it":
        api.append()
    return api


@pytest.mark.parametrize(
    "document", [{}, NUMBERS, True, False, {"const": 10**30}, {"const": 1.0, "title": "é\U0001f377"}]
)
def test_schema_is_read_as_it_was_set(schema_api, document):
    schema_api.put_schema(document)
    response = schema_api.get("/schemas/OrderPlaced/1")
    assert response.status_code == 200
    assert response.json == document and type(response.json) is type(document)


def test_schemas_are_listed_in_pages(schema_api):
    for name, version in (("B", 1), ("A", 10), ("A", 2)):
        schema_api.put_schema(NUMBERS, name, version)
    assert keys(schema_api) == ([("A", 2), ("A", 10), ("B", 1)], 3)
    assert keys(schema_api, "?limit=1&offset=1") == ([("A", 10)], 3)
    assert schema_api.get("/schemas?limit=1001").status_code == 400


def test_every_user_sees_the_schemas_of_a_stream_with_events(api):
    api.append()
    api.put_schema(NUMBERS)
    other = api.as_user("bob", "reader")
    assert keys(other) == ([("OrderPlaced", 1)], 1)
    assert other.get("/schemas/OrderPlaced/1").json == NUMBERS


def test_schema_set_before_the_first_event_is_visible_only_to_its_user(api, stream):
    api.put_schema(NUMBERS)
    for other in (api.as_user("bob"), api.as_user("root", "admin"), api.as_user(None)):
        assert (other.get("/schemas").status_code, other.get("/schemas").json) == (404, f"Not Found - stream {stream}")
        assert other.get("/schemas/OrderPlaced/1").status_code == 404
        assert delete(other).status_code == 404
    assert keys(api) == ([("OrderPlaced", 1)], 1)


def test_unknown_schema_returns_404(schema_api, stream):
    schema_api.put_schema(NUMBERS)
    for name, version in (("OrderPlaced", 2), ("Other", 1)):
        for response in (schema_api.get(f"/schemas/{name}/{version}"), delete(schema_api, name, version)):
            assert response.status_code == 404
            assert response.json == f"Not Found - stream {stream} has no schema for version {version} of {name}"
    assert keys(schema_api)[1] == 1


@pytest.mark.parametrize("version", ["0", "-1", "x", "1.0", "99999999999999999999"])
def test_invalid_version_returns_400(api, version):
    for response in (api.get(f"/schemas/A/{version}"), delete(api, "A", version)):
        assert response.status_code == 400
        assert response.json.startswith("Bad Request - version: ")


def test_stream_without_events_and_schemas_returns_404(api, stream):
    response = api.get("/schemas")
    assert (response.status_code, response.json) == (404, f"Not Found - stream {stream}")
    api.append()
    assert api.get("/schemas").json == {"schemas": [], "total": 0}


def test_deleted_schema_no_longer_applies_in_any_process(schema_api, api_for, settings, an_event):
    replica = api_for(create_app(settings), schema_api.stream)
    schema_api.put_schema(NUMBERS)
    invalid = an_event(payload={"n": "text"})
    for each in (schema_api, replica):
        assert each.append(invalid).status_code == 400
        assert each.append(an_event(payload={"n": 1})).status_code == 200
    assert delete(schema_api).status_code == 204
    for each in (replica, schema_api):
        assert each.append(invalid).status_code == 200
    assert keys(schema_api) == ([], 0)
    schema_api.put_schema(NUMBERS)
    assert replica.append(invalid).status_code == 400


def test_schema_deleted_before_the_first_event_never_applies(api, an_event):
    api.put_schema(NUMBERS)
    assert delete(api).status_code == 204
    assert delete(api).status_code == 404
    assert api.append(an_event(payload={"n": "text"})).status_code == 200


def test_only_owner_and_admins_may_delete_schemas(api, an_event):
    api.append()
    api.put_schema(NUMBERS)
    for other in (api.as_user("bob"), api.as_user("bob", "reader"), api.as_user(None)):
        for name in ("OrderPlaced", "Other"):
            response = delete(other, name)
            assert (response.status_code, response.json) == (403, FORBIDDEN)
    assert api.append(an_event(payload={"n": "text"})).status_code == 400
    assert delete(api.as_user("root", "admin")).status_code == 204


def test_schemas_of_the_streams_of_services_cannot_be_deleted(api_for, app):
    response = delete(api_for(app, "orders").as_user("root", "admin"))
    assert (response.status_code, response.json) == (423, "Locked - Second writers not allowed")


def test_appends_during_changes_are_validated_against_schemas_that_were_in_force(api_for, app, settings, an_event):
    """An event that violates a schema is appended only while that schema does not exist."""
    writer, owner = api_for(app, "busy"), api_for(create_app(settings), "busy")
    writer.append(an_event(payload={"n": 1}))
    is_done = threading.Event()

    def append_invalid():
        statuses = set()
        while not is_done.is_set():
            statuses.add(writer.append(an_event(payload={"n": "text"})).status_code)
        return statuses

    with ThreadPoolExecutor(2) as pool:
        futures = [pool.submit(append_invalid) for _ in range(2)]
        for _ in range(20):
            owner.put_schema(NUMBERS)
            last = owner.get("").json["position"]
            assert owner.append(an_event(payload={"n": "text"})).status_code == 400
            assert owner.get("").json["position"] == last
            assert delete(owner).status_code == 204
        is_done.set()
        assert all(future.result() <= {200, 400} for future in futures)
