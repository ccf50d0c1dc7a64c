"""Uploaded files in Postgres: what remains of them when they are accepted, interrupted or abandoned."""

from typing import Any

import pytest

from chassis.db import Database, stored_uploads
from chassis.db.stored_uploads import UploadWriter
from chassis.errors import Unavailable


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_uploads, "CHUNK_BYTES", 4)


def count_rows(db: Database) -> tuple[int, int]:
    """Return the number of open uploads and of chunks."""
    with db.transaction() as tx:
        return tx.rows("SELECT (SELECT count(*) FROM open_uploads), (SELECT count(*) FROM upload_chunks)")[0]


def accept_file(db: Database, content: bytes = b"0123456789") -> str:
    with UploadWriter(db) as writer:
        for byte in content:
            writer.write(bytes([byte]))
        writer.finish()
        with db.transaction() as tx:
            writer.accept(tx)
    return writer.id


def set_silent(db: Database) -> None:
    with db.transaction() as tx:
        tx.run("UPDATE open_uploads SET seen_at = now() - interval '121 seconds'")


def delete_stale(db: Database, *ids_in_use: str) -> None:
    with db.transaction() as tx:
        tx.run("DELETE FROM effects")
        for id_ in ids_in_use:
            tx.run("INSERT INTO effects (name) VALUES (%(id)s)", id=id_)
        stored_uploads.delete_stale_uploads(tx, "EXISTS (SELECT FROM effects WHERE name = upload_id::text)")


def test_accepted_file_is_kept_until_the_service_deletes_it(db: Database) -> None:
    id_ = accept_file(db)
    assert count_rows(db) == (0, 3)
    with db.transaction() as tx:
        assert stored_uploads.get_chunks(tx, id_, 0, 3) == b"0123456789"
        assert stored_uploads.get_chunks(tx, id_, 1, 2) == b"4567"
        assert stored_uploads.get_chunks(tx, id_, 3, 9) == b""
        stored_uploads.delete_chunks(tx, id_, 0, 2)
        assert stored_uploads.get_chunks(tx, id_, 0, 9) == b"89"
        stored_uploads.delete_chunks(tx, id_)
    assert count_rows(db) == (0, 0)


def test_writer_counts_chunks_and_bytes(db: Database) -> None:
    with UploadWriter(db) as writer:
        for data in (b"", b"012", b"3456789", b"a"):
            writer.write(data)
        assert (writer.chunk_count, writer.size_bytes, count_rows(db)) == (1, 11, (1, 1))
        writer.finish()
        assert (writer.chunk_count, writer.size_bytes, count_rows(db)) == (2, 11, (1, 2))


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt], ids=["not accepted", "error", "exit"])
def test_upload_that_ends_without_acceptance_leaves_nothing(db: Database, error: type[BaseException] | None) -> None:
    def receive() -> None:
        with UploadWriter(db) as writer:
            writer.write(b"0123456789")
            assert count_rows(db) == (1, 1)
            if error:
                raise error

    if error:
        with pytest.raises(error):
            receive()
    else:
        receive()
    assert count_rows(db) == (0, 0)


def test_acceptance_that_is_rolled_back_leaves_nothing(db: Database) -> None:
    with pytest.raises(ValueError), UploadWriter(db) as writer:
        writer.write(b"0123456789")
        with db.transaction() as tx:
            writer.accept(tx)
            raise ValueError
    assert count_rows(db) == (0, 0)


def test_file_is_kept_if_the_commit_reports_an_error_but_has_succeeded(db: Database) -> None:
    with pytest.raises(Unavailable), UploadWriter(db) as writer:
        writer.write(b"0123456789")
        with db.transaction() as tx:
            writer.accept(tx)
        raise Unavailable("the database is unreachable")
    assert count_rows(db) == (0, 1)


def test_open_upload_and_files_in_use_survive_the_timer(db: Database) -> None:
    used, _ = accept_file(db), accept_file(db)
    with UploadWriter(db) as writer:
        writer.write(b"0123")
        delete_stale(db, used)
        with db.transaction() as tx:
            remaining = {id_ for (id_,) in tx.rows("SELECT upload_id::text FROM upload_chunks")}
        assert remaining == {used, writer.id}


def test_abandoned_upload_is_deleted_and_cannot_continue(db: Database) -> None:
    with pytest.raises(Unavailable), UploadWriter(db) as writer:
        writer.write(b"0123")
        set_silent(db)
        delete_stale(db)
        assert count_rows(db) == (0, 0)
        writer.write(b"4567")
    with pytest.raises(Unavailable), UploadWriter(db) as writer:
        set_silent(db)
        delete_stale(db)
        with db.transaction() as tx:
            writer.accept(tx)
    assert count_rows(db) == (0, 0)


def test_upload_is_not_abandoned_while_its_process_waits_for_the_client(
    db: Database, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_uploads, "_HEARTBEAT_SECONDS", 0.02)
    with UploadWriter(db):
        set_silent(db)
        eventually(lambda: _is_recent(db))
        delete_stale(db)
        assert count_rows(db) == (1, 0)


def _is_recent(db: Database) -> bool:
    with db.transaction() as tx:
        return bool(tx.value("SELECT seen_at > now() - interval '1 minute' FROM open_uploads"))


def test_one_run_of_the_timer_deletes_a_limited_number_of_chunks(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored_uploads, "_MAX_DELETED_CHUNKS", 2)
    accept_file(db)
    delete_stale(db)
    assert count_rows(db) == (0, 1)
