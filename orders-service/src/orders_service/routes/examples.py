"""Examples of requests and responses, for the OpenAPI document."""

from typing import Any

TASK_ID = "793d5fd7-6cb4-461c-9cf7-23f64b62624e"
CSV = "id|name|email|state|zipcode|birthday\n4711|Ann|ann@example.com|NJ|10001|Feb 27, 1963\n"
_VIOLATION = {"rule": "allowed_state", "message": "We don't ship to NJ"}


def envelope(result: Any, status_code: int = 200, message: str = "", **extra: Any) -> dict[str, Any]:
    return {
        "result": result,
        **extra,
        "status_code": status_code,
        "uuid": "0f8fad5bd9cb469fa16570867728950e",
        "message": message,
    }


ORDERS = envelope([{"id": 4711, "name": "Ann", "valid": False}], total=1)
ORDER = envelope(
    {
        "id": 4711,
        "name": "Ann",
        "email": "ann@example.com",
        "state": "NJ",
        "zipcode": "10001",
        "birthday": "February 27, 1963",
        "valid": False,
        "errors": [_VIOLATION],
    }
)
EXPORT = (
    "id,name,email,state,zipcode,birthday,valid,rule\r\n"
    "4711,Ann,ann@example.com,NJ,10001,1963-02-27,false,allowed_state\r\n"
)
_TASK = {"task_id": TASK_ID, "batch_no": 30000}
STARTED = envelope(_TASK, 202, "starting import process")
CANCELLED = envelope(_TASK, 202, "cancelling")
_STATUS = {
    **_TASK,
    "file_name": "orders.csv",
    "dry_run": False,
    "on_duplicate": "skip",
    "status": "PROGRESS",
    "current": 1500,
    "total": 2000,
    "percent": 75.0,
    "valid": 1400,
    "invalid": 60,
    "updated": 0,
    "duplicates": 30,
    "rejected": 10,
    "ignored_columns": ["phone"],
    "rows_per_second": 12500.0,
    "started_at": "2026-11-27T08:30:00.123456Z",
    "finished_at": None,
    "message": "",
    "undo": None,
}
STATUS = envelope(_STATUS)
STATUSES = envelope([_STATUS], total=1)
UNDONE = envelope(
    {
        **_TASK,
        "undo": {
            "status": "PENDING",
            "deleted": 0,
            "not_restored": 0,
            "requested_at": "2026-11-27T08:45:00.123456Z",
            "finished_at": None,
        },
    },
    202,
    "undoing the import; updated orders that are not restored: 0",
)
ERRORS = envelope([{"line": 2, "row": "4711|Ann|ann@example.com|NJ|10001|Feb 27, 1963", "errors": [_VIOLATION]}])
ERROR_REPORT = (
    "id|name|email|state|zipcode|birthday|line|rule|message\r\n"
    "4711|Ann|ann@example.com|NJ|10001|Feb 27, 1963|2|allowed_state|We don't ship to NJ\r\n"
)
