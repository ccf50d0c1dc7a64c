"""What the stream `specstore` tells of private datasets: that something happens, and nothing of what."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from chassis import db as postgres
from chassis.db.migrate import migrate, migrations_of
from specstore_service.operations import scheduling

EVENTS = ("FlowQueued", "FlowStarted", "FlowFinished")


@pytest.fixture
def payloads(outbox_of):
    return lambda: [body["payload"] for name in EVENTS for body in outbox_of(name)]


def end(api, flow, success=True):
    for pipeline in api.status(flow).json["pipelines"]:
        api.finish(pipeline, success, errors=[f"{flow} is broken"])


@pytest.fixture
def rows(db):
    """All columns of the waiting events, as the relay publishes them."""

    def rows():
        with db.transaction() as tx:
            return [str(row) for row in tx.rows("SELECT * FROM outbox WHERE exchange = 'events'")]

    return rows


@pytest.mark.parametrize("success", [True, False])
def test_an_event_of_a_private_flow_has_a_reference_that_only_its_owner_can_resolve(api, payloads, rows, success):
    flow = api.uploaded(findability="private")
    end(api, flow, success)
    reference = api.status(flow).json["event_ref"]
    assert str(uuid.UUID(reference)) == reference
    assert payloads() == [{"flow": reference}] * 3
    assert not [row for row in rows() if "ann" in row or "wines" in row or "broken" in row]


def test_an_event_of_another_flow_names_it(api, payloads):
    flow = api.uploaded(findability="unlisted")
    end(api, flow)
    assert api.status(flow).json["event_ref"] is None
    assert {payload["flow_id"] for payload in payloads()} == {flow}


def test_a_private_flow_that_ended_before_there_were_references_has_none(api, db):
    flow = api.uploaded(findability="private")
    end(api, flow)
    with db.transaction() as tx:
        tx.run("UPDATE flows SET event_ref = NULL")
    assert api.status(flow).json["event_ref"] is None


def test_every_private_revision_has_a_reference_of_its_own(api):
    references = [api.status(api.uploaded(findability="private")).json["event_ref"] for _ in range(3)]
    assert len(set(references)) == 3


def test_each_revision_is_as_private_as_it_was_uploaded(api, payloads):
    private, published = api.uploaded(findability="private"), api.uploaded()
    end(api, private)
    end(api, published)
    reference = api.status(private).json["event_ref"]
    assert [payload.get("flow") for payload in payloads()] == [reference, None] * 3
    assert [payload.get("flow_id") for payload in payloads()] == [None, published] * 3


def test_a_new_revision_of_an_old_spec_is_private_while_its_dataset_is(client, api, payloads):
    published, _ = api.uploaded(), api.uploaded(findability="private")
    again = api.post(f"{published}/retry").json["flow_id"]
    assert payloads()[-1] == {"flow": api.status(again).json["event_ref"]}
    api.uploaded()
    assert client.get(f"/source/{again}").status_code == 404


@pytest.mark.parametrize("success", [True, False])
def test_a_published_flow_is_not_named_from_when_its_dataset_becomes_private(api, payloads, rows, success):
    flow = api.uploaded()
    private = api.uploaded(findability="private")
    end(api, flow, success)
    reference = api.status(flow).json["event_ref"]
    assert payloads()[:2] == [{"flow_id": flow}, {"flow": api.status(private).json["event_ref"]}]
    assert payloads()[2:] == [{"flow": reference}] * 2 and reference
    assert not [row for row in rows() if "broken" in row]


def test_a_published_flow_is_not_named_by_a_cancellation_while_its_dataset_is_private(api, payloads):
    flow, _ = api.uploaded(), api.uploaded(findability="private")
    api.post(f"{flow}/cancel")
    assert payloads()[-1] == {"flow": api.status(flow).json["event_ref"]}


def test_a_flow_is_named_again_when_its_dataset_is_published_again(api, payloads):
    flow, _, _ = api.uploaded(), api.uploaded(findability="private"), api.uploaded()
    end(api, flow)
    assert api.status(flow).json["event_ref"] is None
    assert {payload["flow_id"] for payload in payloads()[-2:]} == {flow}


def test_a_scheduled_revision_of_a_private_dataset_is_not_named(api, db, payloads):
    api.uploaded(findability="private", schedule="every 1m")
    with db.transaction() as tx:
        scheduling.run_due(tx, datetime.now(UTC) + timedelta(minutes=2), is_external=False)
    assert payloads()[-1] == {"flow": api.status("ann/wines/2").json["event_ref"]}


def test_a_list_shows_others_nothing_of_a_newer_private_revision(client, api):
    private, published = api.uploaded(findability="private"), api.uploaded()
    again = api.post(f"{private}/retry").json["flow_id"]
    end(api, again, success=False)
    (shown,) = client.get("/source/ann").json["datasets"]
    assert (shown["revision"], shown["state"]) == (2, "QUEUED")
    assert shown["modified"] == client.get("/source/ann/wines").json["revisions"][0]["created"]
    (own,) = api.status("ann").json["datasets"]
    assert (own["revision"], own["state"]) == (3, "FAILED")
    assert client.get("/source/ann/wines/latest").json["id"] == published


def test_flows_of_before_the_migration_get_a_reference_unless_they_have_ended(settings):
    connection = postgres.connect(settings.database_url, name="tests", autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA older; SET search_path = older")
        try:
            url = f"{settings.database_url}?options=-csearch_path%3Dolder"
            files = migrations_of("chassis", "specstore_service")
            before = [file for file in files if file.name < "0003" or file.source == "chassis"]
            migrate(url, "older", before)
            cursor.execute(
                """
                INSERT INTO owners (id) VALUES ('ann');
                INSERT INTO datasets (owner, name, revisions, findability, modified_at)
                VALUES ('ann', 'wines', 2, 'private', now())
                """
            )
            insert = """
                INSERT INTO flows (dataset, revision, name, spec, findability, state, is_external, request_id,
                                   created_at, modified_at, finished_at)
                SELECT id, %(n)s, 'ann/wines/' || %(n)s, '{}', 'private', %(state)s, false, '', now(), now(),
                       CASE %(state)s WHEN 'FAILED' THEN now() END
                FROM datasets
            """
            for revision, state in enumerate(("QUEUED", "INPROGRESS", "FAILED"), 1):
                cursor.execute(insert, {"n": revision, "state": state})
            ended = "SELECT pg_relation_filenode('flows'), xmin, event_ref FROM flows WHERE state = 'FAILED'"
            cursor.execute(ended.replace("event_ref", "NULL"))
            before_it = cursor.fetchone()
            migrate(url, "older", files)
            cursor.execute(ended)
            assert cursor.fetchone() == before_it
            # The code of before may still be running.
            cursor.execute(insert, {"n": 4, "state": "QUEUED"})
            cursor.execute("SELECT count(DISTINCT event_ref) FROM flows WHERE state <> 'FAILED'")
            assert cursor.fetchone() == (3,)
        finally:
            cursor.execute("DROP SCHEMA older CASCADE")
    connection.close()
