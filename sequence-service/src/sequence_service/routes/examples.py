"""Examples of requests and responses, for the OpenAPI document."""

from typing import Any

DEFINITION = {
    "minimum": 1,
    "maximum": 99999,
    "cycle": False,
    "format": "INV-{year}-{:05d}",
    "reset": "year",
    "timezone": "Europe/Berlin",
    "audit": True,
}
STATE = {
    "name": "invoices",
    **DEFINITION,
    "period": "2026",
    "last": 41,
    "next": 42,
    "remaining": 99958,
    "cycles": 0,
}
CREATED = {**STATE, "last": None, "next": 1, "remaining": 99999}
LIST = {"sequences": [STATE], "total": 1}
CHANGE = {"next": 5000}
CHANGED = {**STATE, "last": 4999, "next": 5000, "remaining": 95000}
NUMBER_REQUEST = {"n": 2}
NUMBERS = {"sequence_list": [42, 43], "formatted": ["INV-2026-00042", "INV-2026-00043"], "period": "2026"}
_ISSUED_RANGE = {
    "id": 2,
    "first": 42,
    "last": 43,
    "period": "2026",
    "user": "ann",
    "request_id": "0f8fad5bd9cb469fa16570867728950e",
    "issued_at": "2026-11-27T08:30:00.123456Z",
}
ISSUED = {"issued": [_ISSUED_RANGE, {**_ISSUED_RANGE, "id": 1, "first": 1, "last": 41}], "total": 2}


def built_in_number(number: int) -> dict[str, Any]:
    return {"sequence_no": number, "sequence_list": [number]}
