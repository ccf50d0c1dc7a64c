import pytest

from event_service.app import create_app

NUMBERS = {"properties": {"n": {"type": "integer"}}}
STRINGS = {"properties": {"n": {"type": "string"}}}


def test_schema_applies_to_later_payloads(api, an_event):
    api.append(an_event(payload={"n": "text"}))
    assert (api.put_schema(NUMBERS).status_code, api.put_schema(NUMBERS).json) == (200, "OK")
    for _ in range(2):
        response = api.append(an_event(payload={"n": "text"}))
        assert response.status_code == 400
        assert response.json.startswith("Bad Request - payload.n: ")
        assert api.append(an_event(payload={"n": 1})).status_code == 200
    assert api.sequences() == [1, 2, 3]


@pytest.mark.parametrize("headers", [{}, {"X_Expected_Position": "0"}, {"Idempotency_Key": "key"}])
def test_every_kind_of_first_append_is_validated(api, an_event, headers):
    api.put_schema(NUMBERS)
    assert api.read().status_code == 404
    assert api.client.get(api.path).status_code == 404
    assert api.append(an_event(payload={"n": "text"}), **headers).status_code == 400
    assert api.append(an_event(payload={"n": 1}), **headers).status_code == 200
    assert api.sequences() == [1]


def test_schema_applies_only_to_its_name_and_version(api, an_event):
    api.put_schema(NUMBERS)
    assert api.append(an_event(version=2, payload={"n": "text"})).status_code == 200
    assert api.append(an_event("Other", payload={"n": "text"})).status_code == 200
    assert api.append(an_event(version=1.0, payload={"n": "text"})).status_code == 400


def test_schema_set_at_one_replica_applies_immediately_at_others(api, api_for, settings, an_event, stream):
    replica = api_for(create_app(settings), stream)
    for setter, writer in ((api, replica), (replica, api)):
        setter.put_schema(NUMBERS)
        assert writer.append(an_event(payload={"n": "text"})).status_code == 400
        assert writer.append(an_event(payload={"n": 1})).status_code == 200
        setter.put_schema(STRINGS)
        assert writer.append(an_event(payload={"n": "text"})).status_code == 200
        assert writer.append(an_event(payload={"n": 1})).status_code == 400
        setter.put_schema({})
        assert writer.append([an_event(payload={"n": n}) for n in (1, "text")]).status_code == 200


def test_violation_in_an_array_names_the_index(api, an_event):
    api.put_schema(NUMBERS)
    response = api.append([an_event(payload={"n": 1}), an_event(payload={"n": "text"})])
    assert response.json.startswith("Bad Request - 1.payload.n: ")


def test_schema_is_checked_before_the_writer(api, an_event):
    api.put_schema(NUMBERS)
    api.append(an_event(payload={"n": 1}), producer="first")
    assert api.append(an_event(payload={"n": "text"}), producer="second").status_code == 400
    assert api.append(an_event(payload={"n": 1}), producer="second").status_code == 423


@pytest.mark.parametrize("document", [{"type": "nonsense"}, [], "x", 1, None, {"$ref": "http://127.0.0.1:9/"}])
def test_invalid_schema_is_rejected_and_changes_nothing(api, an_event, document):
    response = api.put_schema(document)
    assert response.status_code == 400
    assert response.json.startswith("Bad Request - ")
    assert api.append(an_event(payload={"n": "text"})).status_code == 200


@pytest.mark.parametrize("version", ["0", "-1", "x", "1.0", "%D9%A1", "99999999999999999999"])
def test_invalid_version_is_rejected(api, version):
    assert api.put_schema({}, version=version).status_code == 400


def test_booleans_are_valid_schemas(api, an_event):
    assert api.put_schema(False).status_code == 200
    assert api.append().status_code == 400
    assert api.put_schema(True).status_code == 200
    assert api.append().status_code == 200


def test_schemas_cannot_be_set_on_streams_of_services(api_for, app):
    response = api_for(app, "orders").put_schema(NUMBERS)
    assert (response.status_code, response.json) == (423, "Locked - Second writers not allowed")
