"""Large pieces of bytes, in and out as they are: the text of a bytea would be twice as long."""

import io
import struct
from typing import Literal
from uuid import UUID

from chassis.db import Transaction

# COPY's binary format: a signature, no flags, no extension; a row is its number of fields, then each with its length.
_HEAD = b"PGCOPY\n\xff\r\n\x00" + struct.pack("!ii", 0, 0)
_TAIL = struct.pack("!h", -1)
_BEFORE_CONTENT = len(_HEAD) + struct.calcsize("!hi")

Table = Literal["blocks", "reports"]


def insert(tx: Transaction, table: Table, import_id: str, number: int, content: bytes) -> None:
    row = struct.pack("!hi16siii", 3, 16, UUID(import_id).bytes, 4, number, len(content))
    tx.copy_in(
        f"COPY {table} (import_id, number, content) FROM STDIN (FORMAT binary)",
        io.BytesIO(b"".join((_HEAD, row, content, _TAIL))),
    )


def get(tx: Transaction, table: Table, import_id: str, number: int) -> bytes:
    """Of one that is there."""
    target = io.BytesIO()
    tx.copy_out(
        f"""
        COPY (SELECT content FROM {table} WHERE import_id = %(id)s AND number = %(number)s)
        TO STDOUT (FORMAT binary)
        """,
        target,
        id=import_id,
        number=number,
    )
    return target.getvalue()[_BEFORE_CONTENT : -len(_TAIL)]
