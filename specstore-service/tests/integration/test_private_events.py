"""The stream `specstore` contains events of private datasets, but no details of them."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from chassis import db as postgres
from chassis.db.migrate import migrate, migrations_of
from specstore_service.operations import scheduling

EVENTS = ("FlowQueued", "FlowStarted", "FlowFinished")


@pytest.fixture
def payloads(outbox_bodies):
    return lambda: [body["payload"] for name in EVENTS for body in outbox_bodies(name)]


def end_flow(api, flow, success=True):
    for pipeline in api.get(flow).json["pipelines"]:
        api.finish(pipeline, success, errors=[f"{flow} is broken"])


@pytest.fixture
def rows(db):
    """Return the unsent events with all columns that the relay publishes, as text."""

    def rows():
        with db.transaction() as tx:
            return [str(row) for row in tx.rows("SELECT * FROM outbox WHERE exchange = 'events'")]

    return rows


@pytest.mark.parametrize("success", [True, False])
def test_event_of_a_private_flow_contains_only_a_reference(api, payloads, rows, success):
    flow = api.create_flow(findability="private")
    end_flow(api, flow, success)
    reference = api.get(flow).json["event_ref"]
    assert str(uuid.UUID(reference)) == reference
    assert payloads() == [{"flow": reference}] * 3
    assert not [row for row in rows() if "ann" in row or "wines" in row or "broken" in row]


def test_event_of_an_unlisted_flow_contains_its_id(api, payloads):
    flow = api.create_flow(findability="unlisted")
    end_flow(api, flow)
    assert api.get(flow).json["event_ref"] is None
    assert {payload["flow_id"] for payload in payloads()} == {flow}


def test_private_flow_finished_before_references_existed_has_none(api, db):
    flow = api.create_flow(findability="private")
    end_flow(api, flow)
    with db.transaction() as tx:
        tx.run("UPDATE flows SET event_ref = NULL")
    assert api.get(flow).json["event_ref"] is None


def test_every_private_revision_has_a_distinct_reference(api):
    references = [api.get(api.create_flow(findability="private")).json["event_ref"] for _ in range(3)]
    assert len(set(references)) == 3


def test_each_revision_keeps_its_uploaded_findability(api, payloads):
    private, published = api.create_flow(findability="private"), api.create_flow()
    end_flow(api, private)
    end_flow(api, published)
    reference = api.get(private).json["event_ref"]
    assert [payload.get("flow") for payload in payloads()] == [reference, None] * 3
    assert [payload.get("flow_id") for payload in payloads()] == [None, published] * 3


def test_retry_of_a_published_revision_is_private_while_its_dataset_is(client, api, payloads):
    published, _ = api.create_flow(), api.create_flow(findability="private")
    retried = api.post(f"{published}/retry").json["flow_id"]
    assert payloads()[-1] == {"flow": api.get(retried).json["event_ref"]}
    api.create_flow()
    assert client.get(f"/source/{retried}").status_code == 404


@pytest.mark.parametrize("success", [True, False])
def test_events_hide_a_published_flow_after_its_dataset_becomes_private(api, payloads, rows, success):
    flow = api.create_flow()
    private = api.create_flow(findability="private")
    end_flow(api, flow, success)
    reference = api.get(flow).json["event_ref"]
    assert payloads()[:2] == [{"flow_id": flow}, {"flow": api.get(private).json["event_ref"]}]
    assert payloads()[2:] == [{"flow": reference}] * 2 and reference
    assert not [row for row in rows() if "broken" in row]


def test_cancellation_hides_a_published_flow_while_its_dataset_is_private(api, payloads):
    flow, _ = api.create_flow(), api.create_flow(findability="private")
    api.post(f"{flow}/cancel")
    assert payloads()[-1] == {"flow": api.get(flow).json["event_ref"]}


def test_events_name_a_flow_after_its_dataset_is_published_again(api, payloads):
    flow, _, _ = api.create_flow(), api.create_flow(findability="private"), api.create_flow()
    end_flow(api, flow)
    assert api.get(flow).json["event_ref"] is None
    assert {payload["flow_id"] for payload in payloads()[-2:]} == {flow}


def test_event_of_a_scheduled_private_revision_hides_its_id(api, db, payloads):
    api.create_flow(findability="private", schedule="every 1m")
    with db.transaction() as tx:
        scheduling.run_due(tx, datetime.now(UTC) + timedelta(minutes=2), is_external=False)
    assert payloads()[-1] == {"flow": api.get("ann/wines/2").json["event_ref"]}


def test_list_hides_a_newer_private_revision_from_others(client, api):
    private, published = api.create_flow(findability="private"), api.create_flow()
    retried = api.post(f"{private}/retry").json["flow_id"]
    end_flow(api, retried, success=False)
    (public,) = client.get("/source/ann").json["datasets"]
    assert (public["revision"], public["state"]) == (2, "QUEUED")
    assert public["modified"] == client.get("/source/ann/wines").json["revisions"][0]["created"]
    (own,) = api.get("ann").json["datasets"]
    assert (own["revision"], own["state"]) == (3, "FAILED")
    assert client.get("/source/ann/wines/latest").json["id"] == published


def test_migration_adds_references_to_unfinished_flows(settings):
    connection = postgres.connect(settings.database_url, name="tests", autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA older; SET search_path = older")
        try:
            url = f"{settings.database_url}?options=-csearch_path%3Dolder"
            files = migrations_of("chassis", "specstore_service")
            earlier_files = [file for file in files if file.name < "0003" or file.source == "chassis"]
            migrate(url, "older", earlier_files)
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
            select_ended = "SELECT pg_relation_filenode('flows'), xmin, event_ref FROM flows WHERE state = 'FAILED'"
            cursor.execute(select_ended.replace("event_ref", "NULL"))
            row_before_migration = cursor.fetchone()
            migrate(url, "older", files)
            cursor.execute(select_ended)
            assert cursor.fetchone() == row_before_migration
            # The previous version of the code may still be running.
            cursor.execute(insert, {"n": 4, "state": "QUEUED"})
            cursor.execute("SELECT count(DISTINCT event_ref) FROM flows WHERE state <> 'FAILED'")
            assert cursor.fetchone() == (3,)
        finally:
            cursor.execute("DROP SCHEMA older CASCADE")
    connection.close()
