"""Erasure removes the content of an event; the event itself stays."""

import uuid

import pytest

from event_service.domain.events import MAX_VERSION


@pytest.fixture
def admin(api):
    return api.as_user("root", "admin")


def test_erased_event_keeps_its_name_position_and_sequence(api, admin, an_event):
    body = an_event("OrderPlaced", MAX_VERSION, payload={"name": "Ann"})
    ids = api.append([an_event(), body, an_event("Other")]).json
    before = api.get(f"/events/{ids[1]}").json
    response = admin.erase(ids[1])
    assert (response.status_code, response.data) == (204, b"")
    erased = api.get(f"/events/{ids[1]}").json
    assert erased.pop("erased_at").endswith("Z")
    assert erased == {**before, "system": None, "trigger": None, "payload": None}
    assert api.positions() == [1, 2, 3]
    assert "erased_at" not in api.get(f"/events/{ids[0]}").text


def test_every_reader_sees_the_event_as_erased(api, admin, client):
    (event_id,) = api.append_events()
    for _ in range(5):
        api.acknowledge(event_id, "NACK", consumer="parking")
    admin.erase(event_id)
    erased = api.get(f"/events/{event_id}").json
    assert erased["payload"] is None and erased["erased_at"]
    assert api.read().json == [erased]
    assert api.get("/events?from=1&limit=1").json == [erased]
    assert api.get("/events?before=2&limit=1").json == [erased]
    assert client.get(f"/api/v1/events/{event_id}").json == erased
    assert client.get(f"/api/v1/events?request_id={erased['request_id']}").json["events"] == [erased]
    (parked,) = api.parked("parking")["parked"]
    assert {name: parked[name] for name in erased} == erased
    with client.get(f"{api.path}/live?eventName=*&lastEventId=0") as response:
        blocks = iter(response.response)
        next(blocks)
        assert erased["erased_at"].encode() in next(blocks)
    assert api.acknowledge(event_id).json == "OK"


def test_erasing_again_changes_nothing(api, admin):
    (event_id,) = api.append_events()
    admin.erase(event_id)
    erased = api.get(f"/events/{event_id}").json
    assert admin.erase(event_id).status_code == 204
    assert api.get(f"/events/{event_id}").json == erased


def test_message_that_is_not_published_yet_is_erased_too(api, admin, an_event, outbox):
    bodies = [an_event('Ä "', 2.0, payload={"name": "Ann"}), an_event(payload={"name": "Bob"})]
    first = api.append(bodies).json[0]
    admin.erase(first)
    (_, erased), (_, other) = outbox()
    erased_at = api.get(f"/events/{first}").json["erased_at"]
    assert erased == {
        "event": {"name": 'Ä "', "version": 2.0},
        "system": None,
        "trigger": None,
        "payload": None,
        "erased_at": erased_at,
    }
    assert other["payload"] == {"name": "Bob"}


@pytest.mark.parametrize(("user", "role"), [("ann", "writer"), ("bob", "reader"), (None, ""), ("root", "Admin")])
def test_only_admins_may_erase(api, user, role):
    (event_id,) = api.append_events()
    for id_ in (event_id, str(uuid.uuid4())):
        response = api.as_user(user, role).erase(id_)
        assert (response.status_code, response.json) == (403, "Forbidden - only admins may erase events")
    assert api.get(f"/events/{event_id}").json["payload"] == {}


def test_unknown_event_or_stream_returns_404(api, api_for, app, admin):
    (event_id,) = api.append_events()
    other = api_for(app, f"{api.stream} other").as_user("root", "admin")
    for client, id_ in ((admin, str(uuid.uuid4())), (admin, "x"), (other, event_id)):
        response = client.erase(id_)
        assert (response.status_code, response.json) == (404, "Not Found")
    assert api.get(f"/events/{event_id}").json["payload"] == {}


def test_no_copy_of_the_content_is_left_in_the_database(api, admin, an_event, db):
    marks = {
        "payload": {"secret": "mark-payload"},
        "system": {"id": "mark-id", "name": "mark-name", "time": "2017-09-06 13:58:12", "timezone": "UTC"},
        "trigger": {"type": "mark-type", "name": "mark-trigger"},
    }
    event_id = api.append({**an_event(), **marks}, Idempotency_Key="key").json
    assert api.acknowledge(event_id, "NACK", reason="failed").status_code == 200

    def tables_with_marks():
        with db.transaction() as tx:
            names = [name for (name,) in tx.rows("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")]
            return {
                name
                for name in names
                if tx.value(f"SELECT count(*) FROM {name} AS row WHERE row::text LIKE %(mark)s", mark="%mark-%")
            }

    assert tables_with_marks() == {"events", "outbox"}
    admin.erase(event_id)
    assert tables_with_marks() == set()
