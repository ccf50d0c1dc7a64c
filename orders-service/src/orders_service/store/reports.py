"""Error reports, stored in sections: one for each step of an import."""

from chassis.db import Transaction


def insert_section(tx: Transaction, import_id: str, number: int, content: bytes) -> None:
    """Insert the section that a step adds to the error report.

    Sections are immutable, so that they can be read in several transactions.
    """
    tx.run(
        "INSERT INTO reports (import_id, number, content) VALUES (%(id)s, %(number)s, %(content)s)",
        id=import_id,
        number=number,
        content=content,
    )


def find_next_section_number(tx: Transaction, import_id: str, after: int) -> int | None:
    """Return the lowest number of a section above `after`, None if that was the last one."""
    number: int | None = tx.value(
        "SELECT min(number) FROM reports WHERE import_id = %(id)s AND number > %(after)s", id=import_id, after=after
    )
    return number


def get_section_bytes(tx: Transaction, import_id: str, number: int, start: int, length: int) -> bytes:
    """Return up to `length` bytes of the section from offset `start`, b"" at the end.

    Postgres reads only these bytes, because sections are stored uncompressed.
    """
    return bytes(
        tx.value(
            """
            SELECT substring(content FROM %(start)s + 1 FOR %(length)s) FROM reports
            WHERE import_id = %(id)s AND number = %(number)s
            """,
            id=import_id,
            number=number,
            start=start,
            length=length,
        )
    )
