"""Only the owner of a stream sets its schemas; a draft, set before the first event, binds only the user that set it."""

import pytest
import yaml

from event_service.app import create_app

NUMBERS = {"properties": {"n": {"type": "integer"}}}
STRINGS = {"properties": {"n": {"type": "string"}}}
FORBIDDEN = (
    "Forbidden - the stream belongs to another user or has no owner yet: only its owner and admins may set schemas"
)


@pytest.fixture
def string_event(an_event):
    return an_event(payload={"n": "text"})


def test_other_user_cannot_set_a_schema_and_changes_nothing(api, string_event):
    api.append()
    for other in (api.as_user("bob"), api.as_user("bob", "reader"), api.as_user(None)):
        response = other.put_schema(NUMBERS)
        assert (response.status_code, response.json) == (403, FORBIDDEN)
    assert api.append(string_event).status_code == 200


def test_owner_and_admin_set_schemas(api, string_event):
    api.append()
    assert api.put_schema(NUMBERS).json == "OK"
    assert api.append(string_event).status_code == 400
    assert api.as_user("root", "admin").put_schema(STRINGS).json == "OK"
    assert api.append(string_event).status_code == 200


def test_document_states_which_user_a_draft_binds(client):
    path = "/api/v1/streams/{stream}/schemas/{name}/{version}"
    description = yaml.safe_load(client.get("/openapi.yaml").text)["paths"][path]["put"]["description"]
    assert "binds only the user who set it" in description


def test_invalid_schema_returns_400_for_another_user_too(api):
    api.append()
    assert api.as_user("bob").put_schema({"type": "nonsense"}).status_code == 400


@pytest.mark.parametrize("headers", [{}, {"X_Expected_Position": "0"}, {"Idempotency_Key": "key"}])
@pytest.mark.parametrize("other", [("bob", "writer"), ("root", "admin"), (None, "")])
def test_draft_locks_no_other_user_out(api, string_event, headers, other):
    assert api.as_user(*other).put_schema(False).status_code == 200
    assert api.append(string_event, **headers).status_code == 200
    assert api.append(string_event).status_code == 200
    assert api.as_user("bob").append(string_event).status_code == 423


@pytest.mark.parametrize("headers", [{}, {"X_Expected_Position": "0"}, {"Idempotency_Key": "key"}])
def test_draft_applies_to_its_user_from_the_first_event_on(api, an_event, string_event, headers):
    api.put_schema(NUMBERS)
    api.as_user("bob").put_schema(STRINGS)
    assert api.append(string_event, **headers).status_code == 400
    assert api.append(an_event(payload={"n": 1}), **headers).status_code == 200
    assert api.append(string_event).status_code == 400


def test_drafts_of_other_users_are_deleted_with_the_first_event(api, db, string_event):
    api.as_user("bob").put_schema(NUMBERS)
    api.put_schema(STRINGS)
    api.append(string_event)
    with db.transaction() as tx:
        assert tx.value("SELECT count(*) FROM schema_drafts") == 0
        assert tx.value("SELECT count(*) FROM schemas") == 1


def test_rejected_first_event_keeps_the_drafts_of_all_users(api, string_event):
    api.put_schema(NUMBERS)
    api.as_user("bob").put_schema(STRINGS)
    assert api.append(string_event).status_code == 400
    assert api.as_user("bob").append(string_event).status_code == 200


def test_process_with_cached_schemas_applies_new_ones_of_an_admin(api, api_for, settings, an_event, string_event):
    other = api_for(create_app(settings), api.stream)
    api.put_schema(STRINGS)
    assert other.append(string_event).status_code == 200
    assert api.as_user("root", "admin").put_schema(NUMBERS).status_code == 200
    assert other.append(string_event).status_code == 400
    assert other.append(an_event(payload={"n": 1})).status_code == 200


def test_unowned_stream_with_events_accepts_schemas_only_from_an_admin(api, string_event):
    api.as_user(None).append()
    assert api.put_schema(NUMBERS).status_code == 403
    assert api.as_user("root", "admin").put_schema(NUMBERS).status_code == 200
    assert api.append(string_event).status_code == 400
    # The first append makes the user the owner.
    assert api.append().status_code == 200
    assert api.put_schema(STRINGS).status_code == 200
    assert api.append(string_event).status_code == 200
