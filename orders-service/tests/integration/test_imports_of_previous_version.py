"""Imports that processes of the previous version have begun are continued, and the other way round."""

import pytest

FIRST_NEW_MIGRATION = "0006"
HEADER = "id|name|email|state|zipcode|birthday"
ROW = "|Zoë|a@example.com|TX|10001|Feb 27, 1963\n"
TASK = "8bd73d8d-8019-4bec-aaf9-0a04a343f1b0"


class OldProcess:
    """The statements with which processes of the previous version begin an import."""

    def __init__(self, database):
        self.run = database.run

    def accept(self, *chunks):
        self.run(
            """
            INSERT INTO imports (id, username, request_id, file_name, dry_run, batch_no, uploaded_at, total, blocks)
            VALUES (%(id)s, '', 'r', 'orders.csv', false, 1, now(), 2, %(count)s)
            """,
            id=TASK,
            count=len(chunks),
        )
        for number, content in enumerate(chunks):
            self.run(
                "INSERT INTO upload_chunks VALUES (%(id)s, %(number)s, %(content)s)",
                id=TASK,
                number=number,
                content=content,
            )

    def read_header(self, rest):
        """Store that the first chunk has been read."""
        self.run("DELETE FROM upload_chunks WHERE number = 0")
        self.run(
            """
            UPDATE imports SET status = 'PROGRESS', started_at = now(), separator = '|', columns = %(columns)s,
                   line = 2, rest = %(rest)s, next_block = 1
            """,
            columns='["id", "name", "email", "state", "zipcode", "birthday"]',
            rest=rest,
        )


@pytest.mark.parametrize("is_header_read", [False, True])
def test_import_begun_by_the_previous_version_is_continued(old_database, upgrade, counts_of, is_header_read):
    content = f"{HEADER}\n1{ROW}x{ROW}".encode()
    # The first chunk ends within a character.
    cut = content.index("ë".encode()) + 1
    process = OldProcess(old_database)
    process.accept(content[:cut], content[cut:])
    if is_header_read:
        process.read_header(content[len(HEADER) + 1 : cut])
    api = upgrade()
    status = api.finish(TASK)
    assert (counts_of(status), status["ignored_columns"]) == ((1, 0, 0, 1), [])
    assert api.order(1).json["result"]["name"] == "Zoë"
    assert api.errors(TASK).splitlines()[0] == f"{HEADER}|line|rule|message"


def test_statements_of_the_previous_version_work_after_the_migrations(old_database, upgrade, counts_of):
    api = upgrade()
    process = OldProcess(old_database)
    process.accept(f"{HEADER}\n".encode(), f"1{ROW}".encode())
    process.read_header(b"")
    assert counts_of(api.finish(TASK)) == (1, 0, 0, 0)
