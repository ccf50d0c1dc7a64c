"""Tiles: roll-ups and points that cover a range of time without crossing the limits of its buckets.

A roll-up of a week is a tile if one bucket contains all of it. Otherwise its days are examined in the same way, then
their hours, their quarter hours, and finally points. So there are few tiles per bucket, however many points it has.
"""

from dataclasses import fields
from typing import Any

from factory_service.domain.buckets import WEEK, Span

_COLUMNS = [field.name for field in fields(Span)]
_SPANS = f"""
    spans AS MATERIALIZED (
        SELECT * FROM unnest({", ".join(f"%({name})s::bigint[]" for name in _COLUMNS)})
        WITH ORDINALITY AS s ({", ".join(_COLUMNS)}, span)
    )
"""
# Span.number and Span.start in SQL.
_NUMBER = "greatest(({time} + shift) / %(width)s, held)"
_START = "CASE WHEN number = held THEN held_start ELSE greatest(number * %(width)s - shift, began) END"


def parameters(spans: list[Span], width: int) -> dict[str, Any]:
    """Return the statement parameters of `tiles`, except the ID of the factory."""
    return {"width": width, **{name: [getattr(span, name) for span in spans] for name in _COLUMNS}}


def tiles(columns: str, point_columns: str, rollup_widths: tuple[int, ...]) -> str:
    """Return the WITH clause that defines `tiles`, with the columns bucket, start, and those of the roll-ups.

    `point_columns` are the values of the same columns for a single point.
    """
    # Of the outer roll-ups or spans, the parts that are not tiles are examined.
    outer = f"(SELECT *, first - {WEEK} AS outer_first, last AS outer_last FROM spans)"
    expressions, parts = [_SPANS], []
    for width in rollup_widths:
        expressions.append(_rollups(width, columns, outer))
        parts.append(f"SELECT span, number, start, {columns} FROM rollups_{width} WHERE is_tile")
        outer = f"""(
            SELECT spans.*, start AS outer_first, start + {width - 1} AS outer_last
            FROM rollups_{width} JOIN spans USING (span) WHERE NOT is_tile
        )"""
    parts.append(f"""
        SELECT span, {_NUMBER.format(time="time")}, time, {point_columns}
        FROM {outer} AS o CROSS JOIN LATERAL (
            SELECT time, actual, goal FROM points
            WHERE factory_id = %(id)s AND time BETWEEN greatest(first, outer_first) AND least(last, outer_last) OFFSET 0
        ) AS p
    """)
    return f"""
        WITH {", ".join(expressions)}, tiles AS (
            SELECT {_START} AS bucket, part.*
            FROM ({" UNION ALL ".join(parts)}) AS part (span, number, start, {columns}) JOIN spans USING (span)
        )
    """


def _rollups(width: int, columns: str, outer: str) -> str:
    """Return the roll-ups of one width. OFFSET 0 keeps Postgres from reading those of all times at once."""
    number, last_number = (_NUMBER.format(time=time) for time in ("start", f"start + {width - 1}"))
    return f"""
        rollups_{width} AS MATERIALIZED (
            SELECT span, r.*,
                   start >= first AND start + {width - 1} <= last AND number = {last_number} AS is_tile
            FROM {outer} AS o CROSS JOIN LATERAL (
                SELECT start, {number} AS number, {columns} FROM rollups
                WHERE factory_id = %(id)s AND width = {width}
                  AND start BETWEEN greatest(first - {width - 1}, outer_first) AND least(last, outer_last)
                OFFSET 0
            ) AS r
        )
    """
