"""Examples of requests and responses, for the OpenAPI document."""

BUILT_IN_NUMBER = {"sequence_no": 1000, "sequence_list": [1000]}
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
LIST = {"sequences": [STATE], "total": 1}
CHANGE = {"next": 5000}
CHANGED = {**STATE, "last": 4999, "next": 5000, "remaining": 95000}
NUMBER_REQUEST = {"n": 2}
NUMBERS = {"sequence_list": [42, 43], "formatted": ["INV-2026-00042", "INV-2026-00043"], "period": "2026"}
ISSUED = {
    "issued": [
        {
            "id": 17,
            "first": 42,
            "last": 43,
            "period": "2026",
            "user": "ann",
            "request_id": "0f8fad5bd9cb469fa16570867728950e",
            "issued_at": "2026-11-27T08:30:00.123456Z",
        }
    ],
    "total": 1,
}
