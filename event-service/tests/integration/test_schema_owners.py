"""Schemas are set by the owner of a stream; before its first event they bind only the user that set them."""

import pytest
import yaml

from event_service.app import create_app

NUMBERS = {"properties": {"n": {"type": "integer"}}}
TEXTS = {"properties": {"n": {"type": "string"}}}
FORBIDDEN = "Forbidden - the stream belongs to another user or has no owner yet: only its owner may set schemas"


@pytest.fixture
def of_text(an_event):
    return an_event(payload={"n": "text"})


def test_another_user_sets_no_schema_and_changes_nothing(api, of_text):
    api.append()
    for other in (api.by("bob"), api.by("bob", "reader"), api.by(None)):
        response = other.put_schema(NUMBERS)
        assert (response.status_code, response.json) == (403, FORBIDDEN)
    assert api.append(of_text).status_code == 200


def test_the_owner_and_an_admin_set_schemas(api, of_text):
    api.append()
    assert api.put_schema(NUMBERS).json == "OK"
    assert api.append(of_text).status_code == 400
    assert api.by("root", "admin").put_schema(TEXTS).json == "OK"
    assert api.append(of_text).status_code == 200


def test_the_document_states_whom_a_schema_set_before_the_first_event_binds(client):
    path = "/api/v1/streams/{stream}/schemas/{name}/{version}"
    description = yaml.safe_load(client.get("/openapi.yaml").text)["paths"][path]["put"]["description"]
    assert "binds only the stream of the user who set it" in description


def test_what_is_not_a_schema_is_a_bad_request_for_another_user_too(api):
    api.append()
    assert api.by("bob").put_schema({"type": "nonsense"}).status_code == 400


@pytest.mark.parametrize("how", [{}, {"X_Expected_Position": "0"}, {"Idempotency_Key": "key"}])
@pytest.mark.parametrize("other", [("bob", "writer"), ("root", "admin"), (None, "")])
def test_a_schema_set_in_advance_locks_no_other_user_out(api, of_text, how, other):
    assert api.by(*other).put_schema(False).status_code == 200
    assert api.append(of_text, **how).status_code == 200
    assert api.append(of_text).status_code == 200
    assert api.by("bob").append(of_text).status_code == 423


@pytest.mark.parametrize("how", [{}, {"X_Expected_Position": "0"}, {"Idempotency_Key": "key"}])
def test_a_schema_set_in_advance_applies_to_its_user_from_the_first_event_on(api, an_event, of_text, how):
    api.put_schema(NUMBERS)
    api.by("bob").put_schema(TEXTS)
    assert api.append(of_text, **how).status_code == 400
    assert api.append(an_event(payload={"n": 1}), **how).status_code == 200
    assert api.append(of_text).status_code == 400


def test_the_schemas_of_others_are_gone_once_the_stream_has_an_owner(api, db, of_text):
    api.by("bob").put_schema(NUMBERS)
    api.put_schema(TEXTS)
    api.append(of_text)
    with db.transaction() as tx:
        assert tx.value("SELECT count(*) FROM schema_drafts") == 0
        assert tx.value("SELECT count(*) FROM schemas") == 1


def test_a_rejected_first_event_leaves_the_schemas_of_all_users(api, of_text):
    api.put_schema(NUMBERS)
    api.by("bob").put_schema(TEXTS)
    assert api.append(of_text).status_code == 400
    assert api.by("bob").append(of_text).status_code == 200


def test_a_process_that_knew_the_schemas_learns_new_ones_of_an_admin(api, api_of, settings, an_event, of_text):
    other = api_of(create_app(settings), api.stream)
    api.put_schema(TEXTS)
    assert other.append(of_text).status_code == 200
    assert api.by("root", "admin").put_schema(NUMBERS).status_code == 200
    assert other.append(of_text).status_code == 400
    assert other.append(an_event(payload={"n": 1})).status_code == 200


def test_a_stream_with_events_and_without_an_owner_takes_schemas_from_an_admin_only(api, of_text):
    api.by(None).append()
    assert api.put_schema(NUMBERS).status_code == 403
    assert api.by("root", "admin").put_schema(NUMBERS).status_code == 200
    assert api.append(of_text).status_code == 400
    # The first append makes it the owner.
    assert api.append().status_code == 200
    assert api.put_schema(TEXTS).status_code == 200
    assert api.append(of_text).status_code == 200
