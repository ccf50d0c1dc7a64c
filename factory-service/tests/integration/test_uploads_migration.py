"""Migration 0006 moves uploads into the tables of the chassis; processes of the previous version continue to work."""

import threading
import uuid
from datetime import UTC, datetime

import pytest

from chassis.messaging.delivery import Delivery
from chassis.messaging.message_processor import JobContext
from factory_service import handlers
from factory_service.app import create_app

FIRST_NEW_MIGRATION = "0006"
PATH = "/api/factories/load"
CHUNKS = (b'{"sprockets": [{"teeth": 5, "pitch_diameter": 6, ', b'"outside_diameter": 7, "pi', b'tch": 1}]}')


class OldProcess:
    """The statements with which a web process of the previous version stores an upload."""

    def __init__(self, database):
        self.database, self.id = database, str(uuid.uuid4())
        self.database.run("INSERT INTO loads (id, request_id) VALUES (%(id)s, 'r')", id=self.id)

    def insert_chunk(self, number):
        self.database.run(
            "INSERT INTO load_chunks (load_id, number, content) VALUES (%(id)s, %(number)s, %(content)s)",
            id=self.id,
            number=number,
            content=CHUNKS[number],
        )

    def accept(self):
        return self.database.run(
            "UPDATE loads SET status = 'PENDING', size_bytes = 87 WHERE id = %(id)s AND status = 'UPLOADING'",
            id=self.id,
        )


@pytest.fixture
def old_process(old_database):
    return OldProcess(old_database)


@pytest.fixture
def upgrade(old_database):
    """Return a function that migrates the old database and returns an app for it."""

    def upgrade():
        old_database.upgrade()
        return create_app(old_database.settings)

    return upgrade


def run_load(app, load):
    context = JobContext(app.database, app.settings, threading.Event())
    handlers.on_load(context, Delivery("factory.load", "1", "factory.load", "factory", "r", {}, {"load": load}))
    return app.test_client().get(f"{PATH}/{load}").json


def delete_stale_uploads(app):
    with app.database.transaction() as tx:
        handlers.timers(app.settings)["stale uploads"].run(tx, datetime.now(UTC))


@pytest.mark.parametrize("chunks_before", [0, 1, 3])
def test_upload_that_spans_the_migration_is_loaded(old_process, upgrade, chunks_before):
    for number in range(chunks_before):
        old_process.insert_chunk(number)
    app = upgrade()
    delete_stale_uploads(app)
    assert app.test_client().get(f"{PATH}/{old_process.id}").status_code == 404
    for number in range(chunks_before, len(CHUNKS)):
        old_process.insert_chunk(number)
    assert old_process.accept() == 1
    delete_stale_uploads(app)
    status = run_load(app, old_process.id)
    assert (status["status"], status["sprockets"]) == ("SUCCESS", 1)
    assert old_process.database.rows("SELECT count(*) FROM load_chunks") == [(0,)]


def test_upload_that_the_previous_version_ended_leaves_nothing(old_process, upgrade):
    old_process.insert_chunk(0)
    app = upgrade()
    assert old_process.database.run("DELETE FROM loads WHERE id = %(id)s", id=old_process.id) == 1
    delete_stale_uploads(app)
    assert old_process.database.rows("SELECT count(*) FROM load_chunks") == [(0,)]


def test_worker_of_the_previous_version_loads_a_file_received_by_a_new_process(old_database, upgrade):
    content = b"".join(CHUNKS)
    accepted = upgrade().test_client().post(PATH, data=content, content_type="application/json")
    rows = old_database.rows(
        "SELECT content FROM load_chunks WHERE load_id = %(id)s AND number = 0", id=accepted.json["id"]
    )
    assert [bytes(chunk) for (chunk,) in rows] == [content]
    assert old_database.run("DELETE FROM load_chunks WHERE load_id = %(id)s", id=accepted.json["id"]) == 1


def test_tables_equal_those_of_a_service_without_older_ones(old_database, upgrade):
    expected = old_database.describe("open_uploads", "upload_chunks")
    upgrade()
    assert old_database.describe("open_uploads", "upload_chunks") == expected
