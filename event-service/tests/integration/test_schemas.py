import pytest

from event_service.app import create_app

NUMBERS = {"properties": {"n": {"type": "integer"}}}
TEXTS = {"properties": {"n": {"type": "string"}}}


def test_from_then_on_payloads_are_checked(api, an_event):
    api.append(an_event(payload={"n": "text"}))
    assert (api.put_schema(NUMBERS).status_code, api.put_schema(NUMBERS).json) == (200, "OK")
    for _ in range(2):
        response = api.append(an_event(payload={"n": "text"}))
        assert response.status_code == 400
        assert response.json.startswith("Bad Request - payload.n: ")
        assert api.append(an_event(payload={"n": 1})).status_code == 200
    assert api.sequences() == [1, 2, 3]


@pytest.mark.parametrize("how", [{}, {"X_Expected_Position": "0"}, {"Idempotency_Key": "key"}])
def test_every_way_to_append_is_checked_before_the_first_event(api, an_event, how):
    api.put_schema(NUMBERS)
    assert api.read().status_code == 404
    assert api.client.get(api.path).status_code == 404
    assert api.append(an_event(payload={"n": "text"}), **how).status_code == 400
    assert api.append(an_event(payload={"n": 1}), **how).status_code == 200
    assert api.sequences() == [1]


def test_only_that_name_and_version_are_checked(api, an_event):
    api.put_schema(NUMBERS)
    assert api.append(an_event(version=2, payload={"n": "text"})).status_code == 200
    assert api.append(an_event("Other", payload={"n": "text"})).status_code == 200
    assert api.append(an_event(version=1.0, payload={"n": "text"})).status_code == 400


def test_a_schema_put_at_one_replica_holds_at_the_others_at_once(api, api_of, settings, an_event, stream):
    other = api_of(create_app(settings), stream)
    for here, there in ((api, other), (other, api)):
        here.put_schema(NUMBERS)
        assert there.append(an_event(payload={"n": "text"})).status_code == 400
        assert there.append(an_event(payload={"n": 1})).status_code == 200
        here.put_schema(TEXTS)
        assert there.append(an_event(payload={"n": "text"})).status_code == 200
        assert there.append(an_event(payload={"n": 1})).status_code == 400
        here.put_schema({})
        assert there.append([an_event(payload={"n": n}) for n in (1, "text")]).status_code == 200


def test_in_an_array_the_event_is_named(api, an_event):
    api.put_schema(NUMBERS)
    response = api.append([an_event(payload={"n": 1}), an_event(payload={"n": "text"})])
    assert response.json.startswith("Bad Request - 1.payload.n: ")


def test_a_violation_is_told_before_another_writer(api, an_event):
    api.put_schema(NUMBERS)
    api.append(an_event(payload={"n": 1}), producer="first")
    assert api.append(an_event(payload={"n": "text"}), producer="second").status_code == 400
    assert api.append(an_event(payload={"n": 1}), producer="second").status_code == 423


@pytest.mark.parametrize("document", [{"type": "nonsense"}, [], "x", 1, None, {"$ref": "http://127.0.0.1:9/"}])
def test_what_is_no_schema_is_refused_and_changes_nothing(api, an_event, document):
    response = api.put_schema(document)
    assert response.status_code == 400
    assert response.json.startswith("Bad Request - ")
    assert api.append(an_event(payload={"n": "text"})).status_code == 200


@pytest.mark.parametrize("version", ["0", "-1", "x", "1.0", "%D9%A1", "99999999999999999999"])
def test_a_version_is_a_whole_number(api, version):
    assert api.put_schema({}, version=version).status_code == 400


def test_everything_and_nothing_are_schemas(api, an_event):
    assert api.put_schema(False).status_code == 200
    assert api.append().status_code == 400
    assert api.put_schema(True).status_code == 200
    assert api.append().status_code == 200


def test_the_services_streams_take_none(api_of, app):
    response = api_of(app, "orders").put_schema(NUMBERS)
    assert (response.status_code, response.json) == (423, "Locked - Second writers not allowed")
