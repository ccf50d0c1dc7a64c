"""Examples of requests and responses, for the OpenAPI document."""

from specstore_service.domain.specs import EXAMPLE_SPEC

_FLOW_ID = "admin/wines/1"
_HASH = "sha256:636b5face29c2900bc999122ab0a241542da7742051d774e745a2d9487124705"
_CREATED, _MODIFIED = "2026-11-27T08:30:00.123456Z", "2026-11-27T08:30:02.345678Z"
TOKEN = {"token": "eyJhbGciOiJSUzI1NiJ9.eyJ1c2VyaWQiOiJhZG1pbiJ9.c2lnbmF0dXJl", "expires_in": 3600}
PUBLIC_KEY = "-----BEGIN PUBLIC KEY-----\n…\n-----END PUBLIC KEY-----\n"
UPLOADED = {"success": True, "dataset_id": "admin/wines", "flow_id": _FLOW_ID, "errors": []}
RETRIED = {**UPLOADED, "flow_id": "admin/wines/2"}
PLAN = {
    "flow_id": _FLOW_ID,
    "pipelines": [
        {"id": f"{_FLOW_ID}/reds_csv", "title": "Creating CSV", "kind": "derived/csv", "needs": []},
        {"id": _FLOW_ID, "title": "Creating Package", "kind": "final", "needs": [f"{_FLOW_ID}/reds_csv"]},
    ],
}
DATASETS = {
    "datasets": [
        {
            "id": "admin/wines",
            "dataset": "wines",
            "findability": "published",
            "revision": 1,
            "state": "SUCCEEDED",
            "every_seconds": 86400,
            "due_at": "2026-11-28T08:30:00.123456Z",
            "modified": _MODIFIED,
        }
    ],
    "total": 1,
}
REVISIONS = {
    "revisions": [{"id": _FLOW_ID, "revision": 1, "state": "SUCCEEDED", "created": _CREATED, "modified": _MODIFIED}],
    "total": 1,
}
_STATS = {"bytes": 22, "count_of_rows": 2, "hash": _HASH, "path": "reds.csv"}
FLOW = {
    "id": _FLOW_ID,
    "event_ref": None,
    "spec_contents": EXAMPLE_SPEC,
    "modified": _MODIFIED,
    "state": "SUCCEEDED",
    "logs": ["reds: 2 rows checked"],
    "error_log": [],
    "stats": {"bytes": 1458, "count_of_rows": 2, "dataset_name": "wines", "hash": _HASH},
    "pipelines": {
        f"{_FLOW_ID}/reds_csv": {
            "title": "Creating CSV",
            "kind": "derived/csv",
            "needs": [],
            "status": "SUCCEEDED",
            "started": _CREATED,
            "finished": _MODIFIED,
            "stats": _STATS,
            "log": [],
            "error_log": [],
        }
    },
}
CANCELLED = {"id": _FLOW_ID, "state": "FAILED", "cancelled": 3}
PIPELINES = {
    "pipelines": [
        {
            "id": f"{_FLOW_ID}/reds_csv",
            "title": "Creating CSV",
            "kind": "derived/csv",
            "target": "reds",
            "flow_id": _FLOW_ID,
            "status": "QUEUED",
            "needs": [],
            "spec": EXAMPLE_SPEC,
        }
    ],
    "total": 1,
}
PIPELINE_UPDATE = {"pipeline": f"{_FLOW_ID}/reds_csv", "event": "finish", "success": True, "stats": _STATS}
UPDATED = {"success": "pending", "status": "running", "id": _FLOW_ID, "errors": []}
CSV = "name,year\nMalbec,2020\nSyrah,2021\n"
STORED_FILE = {"path": "wines/reds.csv", "bytes": 34, "hash": _HASH}
