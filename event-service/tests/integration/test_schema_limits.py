"""The number and the size of a stream's schemas are limited, because an append may compile all of them."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from event_service.domain import schemas

MESSAGES = {
    "MAX_SCHEMAS": "Bad Request - the schemas of a stream must be at most 3; delete one first",
    "MAX_TOTAL_BYTES": "Bad Request - the schemas of a stream must have at most 30 bytes in total; delete one first",
}
# Three of them have 30 bytes.
DOCUMENT = {"x": "é"}


@pytest.fixture(params=MESSAGES)
def rejection(request, monkeypatch):
    """Set one of the limits so that a stream may have three of the documents, and return the text of a rejection."""
    monkeypatch.setattr(schemas, request.param, {"MAX_SCHEMAS": 3, "MAX_TOTAL_BYTES": 30}[request.param])
    return MESSAGES[request.param]


@pytest.fixture(params=["before the first event", "after it"])
def schema_api(request, api):
    if request.param == "after it":
        api.append()
    return api


def versions(api):
    return [schema["version"] for schema in api.get("/schemas").json["schemas"]]


def test_schema_beyond_the_limit_is_rejected_and_changes_nothing(schema_api, rejection):
    for version in (1, 2, 3, 3):
        assert schema_api.put_schema(DOCUMENT, version=version).json == "OK"
    response = schema_api.put_schema(DOCUMENT, version=4)
    assert (response.status_code, response.json) == (400, rejection)
    assert versions(schema_api) == [1, 2, 3]
    schema_api.client.delete(f"{schema_api.path}/schemas/OrderPlaced/1", headers=schema_api.identity)
    assert schema_api.put_schema(DOCUMENT, version=4).json == "OK"
    assert versions(schema_api) == [2, 3, 4]


def test_schemas_of_another_user_before_the_first_event_do_not_count(api, rejection):
    for user in (api, api.as_user("bob")):
        for version in (1, 2, 3):
            assert user.put_schema(DOCUMENT, version=version).json == "OK"


def test_concurrent_requests_do_not_exceed_the_limit(schema_api, api_for, app, rejection):
    def put(version):
        return api_for(app, schema_api.stream).put_schema(DOCUMENT, version=version).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(put, range(1, 9)))
    assert sorted(statuses) == [200] * 3 + [400] * 5
    assert len(versions(schema_api)) == 3
