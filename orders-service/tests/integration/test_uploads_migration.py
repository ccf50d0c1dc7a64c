"""Migration 0005 moves uploads into the tables of the chassis; processes of the previous version continue to work."""

import uuid

import pytest

FIRST_NEW_MIGRATION = "0005"
PATH = "/acme_orders/api/v1/orders/import"
BLOCKS = (
    b"id|name|email|state|zipcode|birthday\n1|A|a@example.com|TX|1",
    b"0001|Feb 27, 1963\n2|B",
    b"|b@example.com|TX|10001|1963-02-27",
)


class OldProcess:
    """The statements with which a web process of the previous version stores an upload."""

    def __init__(self, database):
        self.database, self.id = database, str(uuid.uuid4())
        self.database.run("INSERT INTO uploads (id) VALUES (%(id)s)", id=self.id)

    def insert_block(self, number):
        inserted = self.database.run(
            """
            WITH upload AS (UPDATE uploads SET seen_at = now() WHERE id = %(id)s RETURNING id)
            INSERT INTO blocks (import_id, number, content) SELECT id, %(number)s, %(content)s FROM upload
            """,
            id=self.id,
            number=number,
            content=BLOCKS[number],
        )
        return inserted == 1

    def accept(self):
        self.database.run(
            """
            INSERT INTO imports (id, username, request_id, file_name, dry_run, batch_no, uploaded_at, total, blocks)
            VALUES (%(id)s, '', 'r', 'orders.csv', false, 1, now(), 2, %(count)s)
            """,
            id=self.id,
            count=len(BLOCKS),
        )
        return self.database.run("DELETE FROM uploads WHERE id = %(id)s", id=self.id) == 1


@pytest.fixture
def old_process(old_database):
    return OldProcess(old_database)


@pytest.mark.parametrize("blocks_before", [0, 1, 3])
def test_upload_that_spans_the_migration_is_imported(old_process, upgrade, counts_of, blocks_before):
    assert all(old_process.insert_block(number) for number in range(blocks_before))
    api = upgrade()
    assert all(old_process.insert_block(number) for number in range(blocks_before, len(BLOCKS)))
    assert old_process.accept()
    assert counts_of(api.finish(old_process.id)) == (2, 0, 0, 0)


def test_accepted_import_is_continued_after_the_migration(old_process, upgrade, counts_of):
    assert all(old_process.insert_block(number) for number in range(len(BLOCKS)))
    assert old_process.accept()
    api = upgrade()
    assert api.client.get("/invariants").json["status"] == "OK"
    assert counts_of(api.finish(old_process.id)) == (2, 0, 0, 0)


def test_upload_that_was_abandoned_before_the_migration_is_not_continued(old_process, upgrade):
    assert old_process.insert_block(0)
    upgrade()
    # The timer of the previous version.
    old_process.database.run("DELETE FROM uploads WHERE seen_at < now() + interval '1 minute'")
    deleted = old_process.database.run(
        """
        DELETE FROM blocks WHERE (import_id, number) IN (
            SELECT import_id, number FROM blocks
            WHERE NOT EXISTS (SELECT FROM uploads WHERE uploads.id = import_id)
              AND NOT EXISTS (
                  SELECT FROM imports WHERE imports.id = import_id AND imports.status IN ('PENDING', 'PROGRESS'))
            LIMIT 800
        )
        """
    )
    assert deleted == 1
    assert not old_process.insert_block(1)


def test_worker_of_the_previous_version_imports_a_file_received_by_a_new_process(old_database, upgrade):
    api = upgrade()
    task = api.start_import(b"".join(BLOCKS))
    rows = old_database.rows(
        "SELECT content FROM blocks WHERE import_id = %(id)s AND number >= 0 AND number < 8 ORDER BY number", id=task
    )
    assert b"".join(bytes(content) for (content,) in rows) == b"".join(BLOCKS)
    assert old_database.run("DELETE FROM blocks WHERE import_id = %(id)s AND number >= 0", id=task) == len(rows)


def test_tables_equal_those_of_a_service_without_older_ones(old_database, upgrade):
    expected = old_database.describe("open_uploads", "upload_chunks")
    upgrade()
    assert old_database.describe("open_uploads", "upload_chunks") == expected
