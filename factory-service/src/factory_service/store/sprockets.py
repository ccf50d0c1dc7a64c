"""Sprockets, and the response bodies that Postgres builds from them."""

from typing import Any

from chassis.db import Transaction

_NUMBERS = "teeth, pitch_diameter, outside_diameter, pitch"
_JSON = """
    '{"id":' || id || ',"teeth":' || teeth || ',"pitch_diameter":' || pitch_diameter
    || ',"outside_diameter":' || outside_diameter || ',"pitch":' || pitch || '}'
"""
ONE = f"""
    SELECT version || '-' || mark AS tag, '{{"sprocket":' || {_JSON} || '}}' AS body
    FROM sprockets WHERE id = %(id)s
"""
PAGE = f"""
    SELECT version || '-' || mark AS tag,
           '{{"sprockets":[' || coalesce((
               SELECT string_agg(body, ',') FROM (
                   SELECT {_JSON} AS body FROM sprockets ORDER BY id LIMIT %(limit)s OFFSET %(offset)s) page), '')
           || '],"count":' || (SELECT count(*) FROM sprockets) || '}}' AS body
    FROM collections WHERE name = 'sprockets'
"""


def insert_sprocket(tx: Transaction, id_: int, numbers: dict[str, int]) -> None:
    tx.run(
        f"""
        INSERT INTO sprockets (id, {_NUMBERS})
        VALUES (%(id)s, %(teeth)s, %(pitch_diameter)s, %(outside_diameter)s, %(pitch)s)
        """,
        id=id_,
        **numbers,
    )


def lock_sprocket(tx: Transaction, id_: int) -> dict[str, Any] | None:
    return tx.find(
        f"SELECT version || '-' || mark AS tag, {_NUMBERS} FROM sprockets WHERE id = %(id)s FOR UPDATE", id=id_
    )


def update_sprocket(tx: Transaction, id_: int, numbers: dict[str, int]) -> None:
    tx.run(
        """
        UPDATE sprockets SET teeth = %(teeth)s, pitch_diameter = %(pitch_diameter)s,
               outside_diameter = %(outside_diameter)s, pitch = %(pitch)s, version = version + 1, mark = DEFAULT
        WHERE id = %(id)s
        """,
        id=id_,
        **numbers,
    )


def delete_sprocket(tx: Transaction, id_: int) -> None:
    tx.run("DELETE FROM sprockets WHERE id = %(id)s", id=id_)
    tx.run("DELETE FROM loaded WHERE collection = 'sprockets' AND id = %(id)s", id=id_)
