"""Examples of requests and responses, for the OpenAPI document."""

from typing import Any

from specstore_service.domain.specs import EXAMPLE_SPEC

_FLOW_ID = "admin/wines/1"
_HASH = "sha256:636b5face29c2900bc999122ab0a241542da7742051d774e745a2d9487124705"
_CREATED, _MODIFIED = "2026-11-27T08:30:00.123456Z", "2026-11-27T08:30:02.345678Z"


def _stats(path: str, size: int, rows: int | None) -> dict[str, Any]:
    return {"bytes": size, "count_of_rows": rows, "hash": _HASH, "path": path}


TOKEN = {"token": "eyJhbGciOiJSUzI1NiJ9.eyJ1c2VyaWQiOiJhZG1pbiJ9.c2lnbmF0dXJl", "expires_in": 3600}
PUBLIC_KEY = "-----BEGIN PUBLIC KEY-----\n…\n-----END PUBLIC KEY-----\n"
UPLOADED = {"success": True, "dataset_id": "admin/wines", "flow_id": _FLOW_ID, "errors": []}
RETRIED = {**UPLOADED, "flow_id": "admin/wines/2"}
# ID (without that of the flow), title, kind, IDs of the dependencies, file, size and rows of each pipeline.
_PIPELINES: list[tuple[str, str, str, list[str], str, int, int | None]] = [
    ("/validation_report", "Validating package contents", "derived/report", [], "validation_report.json", 92, None),
    ("/reds_csv", "Creating CSV", "derived/csv", [], "reds.csv", 33, 2),
    ("/reds_json", "Creating JSON", "derived/json", [], "reds.json", 70, 2),
    (
        "/wines_zip",
        "Creating ZIP",
        "derived/zip",
        ["/validation_report", "/reds_csv", "/reds_json"],
        "wines.zip",
        1275,
        None,
    ),
    ("/reds_csv_preview", "Generating views", "derived/preview", ["/reds_csv"], "reds_preview.csv", 33, 2),
    ("/reds", "Copying source data", "source/tabular", [], "reds_source.json", 60, None),
]
_PIPELINES.append(
    ("", "Creating Package", "final", [id_ for id_, *_ in _PIPELINES], "datapackage.json", 1563, 2),
)
PLAN = {
    "flow_id": _FLOW_ID,
    "pipelines": [
        {"id": _FLOW_ID + id_, "title": title, "kind": kind, "needs": [_FLOW_ID + need for need in needs]}
        for id_, title, kind, needs, *_ in _PIPELINES
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
FLOW = {
    "id": _FLOW_ID,
    "event_ref": None,
    "spec_contents": EXAMPLE_SPEC,
    "modified": _MODIFIED,
    "state": "SUCCEEDED",
    "logs": ["reds: 2 rows checked"],
    "error_log": [],
    "stats": {**_stats("datapackage.json", 1563, 2), "dataset_name": "wines"},
    "pipelines": {
        _FLOW_ID + id_: {
            "title": title,
            "kind": kind,
            "needs": [_FLOW_ID + need for need in needs],
            "status": "SUCCEEDED",
            "started": _CREATED,
            "finished": _MODIFIED,
            "stats": _stats(path, size, rows),
            "log": ["reds: 2 rows checked"] if kind == "derived/report" else [],
            "error_log": [],
        }
        for id_, title, kind, needs, path, size, rows in _PIPELINES
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
PIPELINE_UPDATE = {
    "pipeline": f"{_FLOW_ID}/reds_csv",
    "event": "finish",
    "success": True,
    "stats": _stats("reds.csv", 33, 2),
}
UPDATED = {"success": "pending", "status": "running", "id": _FLOW_ID, "errors": []}
CSV = "name,year\nMalbec,2020\nSyrah,2021\n"
STORED_FILE = {"path": "wines/reds.csv", "bytes": 33, "hash": _HASH}
