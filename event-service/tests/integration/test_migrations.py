"""What the previous version stored stays usable, and so does the previous version while it still runs."""

import secrets

import pytest

from chassis import db as postgres
from chassis.db.migrate import migrate, migrations_of
from event_service.app import create_app

BEFORE_OWNERS = "0004"
# The statements of the previous version.
OLD_APPEND = """
    SELECT append_events('old', 'producer', %(revision)s, '1', 'old', 'OrderPlaced', '1', 'old.OrderPlaced',
                         'OrderPlaced', '{}', '1', '1', '0', '0', %(id)s, 'req-1', %(line)s, NULL, true)
"""
OLD_PAGE = """
    SELECT open_item(event.id, event.body, '"old"', event.sequence, event.position, '"producer"', event.request_id,
                     event.received_at)
    FROM events_of_stream((SELECT id FROM streams WHERE name = 'old'), 0, 9) AS event
"""
OLD_SCHEMA = """
    WITH stream AS (
        INSERT INTO streams AS known (name, revision) VALUES (%(stream)s, 1)
        ON CONFLICT ON CONSTRAINT streams_name DO UPDATE SET revision = known.revision + 1 RETURNING id
    )
    INSERT INTO schemas (stream_id, name, version, document) SELECT id, 'OrderPlaced', 1, 'false' FROM stream
"""
LINE = '"name":"OrderPlaced","version":1},"payload":{}'


class Old:
    """A database of its own schema, as the previous version left it."""

    def __init__(self, settings, migrations):
        self._schema, self._migrations = f"old_{secrets.token_hex(4)}", migrations
        self._admin = postgres.connect(settings.database_url, name="tests", autocommit=True)
        with self._admin.cursor() as cursor:
            cursor.execute(f"CREATE SCHEMA {self._schema}")
        url = f"{settings.database_url}?options=-csearch_path%3D{self._schema}"
        self.settings = settings.model_copy(update={"database_url": url})
        self.migrate([each for each in migrations if each.source == "chassis" or each.name < BEFORE_OWNERS])
        self.database = postgres.Database(url, name="tests", size=2, wait_seconds=5)

    def migrate(self, migrations=None):
        migrate(self.settings.database_url, "event", migrations or self._migrations)

    def append(self, revision="0"):
        id_ = f"{secrets.token_hex(4)}-0000-7000-8000-000000000000"
        with self.database.transaction() as tx:
            assert tx.rows(OLD_APPEND, id=id_, line=LINE, revision=revision) == [("old",)]
        return id_

    def run(self, sql, **params):
        with self.database.transaction() as tx:
            return tx.run(sql, **params)

    def remove(self):
        self.database.close()
        with self._admin.cursor() as cursor:
            cursor.execute(f"DROP SCHEMA {self._schema} CASCADE")
        self._admin.close()


@pytest.fixture
def old(settings):
    old = Old(settings, migrations_of("chassis", "event_service"))
    yield old
    old.remove()


@pytest.fixture
def upgraded(old, api_of):
    """Call it for the stream `old` in an app of this version."""

    def upgrade():
        old.migrate()
        return api_of(create_app(old.settings), "old")

    return upgrade


def test_events_stored_before_have_no_user_and_the_stream_none_until_the_next_append(old, upgraded):
    old.append()
    api = upgraded()
    assert [event["user"] for event in api.read().json] == [None]
    assert api.append(producer="another").status_code == 423
    assert api.append().status_code == 200
    assert api.by("bob").append().status_code == 423
    assert [event["user"] for event in api.read().json] == [None, "ann"]


def test_a_consumer_stored_before_belongs_to_who_acknowledges_next(old, upgraded):
    old.append()
    second = old.append()
    old.run(
        "INSERT INTO offsets (series_id, consumer, acknowledged, moved_at) SELECT id, 'consumer', 1, now() FROM series"
    )
    api = upgraded()
    assert api.sequences() == [2]
    assert api.settle(second).status_code == 200
    assert api.by("bob").set_offset(0).status_code == 403


def test_schemas_stored_before_stay_and_their_stream_is_locked_for_nobody(old, upgraded):
    """Who set them is unknown: those of a stream without events give way to what the appending user sets."""
    old.run(OLD_SCHEMA, stream="old")
    old.append(revision="1")
    old.run(OLD_SCHEMA, stream="empty")
    api = upgraded()
    assert api.append().status_code == 400
    assert api.put_schema(True).status_code == 403
    assert api.by("root", "admin").put_schema(True).status_code == 200
    assert api.append().status_code == 200
    api.path = api.path.replace("old", "empty")
    assert api.append().status_code == 400
    assert api.put_schema(True).status_code == 200
    assert api.append().status_code == 200


def test_the_previous_version_appends_and_reads_after_the_migration(old, upgraded):
    api = upgraded()
    api.append()
    old.append()
    assert [event["user"] for event in api.read().json] == ["ann", None]
    with old.database.transaction() as tx:
        items = [item for (item,) in tx.rows(OLD_PAGE)]
    assert len(items) == 2 and '"producer":"producer","request_id"' in items[0]
    assert api.append().status_code == 200
