"""Flask's no-op: Flask and gunicorn as in the services, with routes that only respond with as many bytes."""

import json
from typing import Any

import orjson
from flask import Flask, Response, request

app = Flask(__name__)
JSON = "application/json; charset=utf-8"
CHART = json.dumps({"id": 1, "name": "Bench", "factory": {"chart_data": "x" * 400}})
PAGE = json.dumps([{"event": {"id": "0" * 36, "name": "BenchEvent", "version": 1}, "payload": "x" * 430}] * 100)
STATUS = json.dumps({"id": "a/b/1", "spec_contents": "x" * 500, "pipelines": "x" * 1000})
ID = "00000000-0000-0000-0000-000000000000"


@app.get("/sequence")
def number() -> dict[str, Any]:
    return {"sequence_no": 1000, "sequence_list": [1000]}


@app.get("/json-sequence")
def numbers() -> Response:
    return Response(orjson.dumps({"sequence_list": list(range(int(request.args["n"])))}), content_type=JSON)


@app.post("/api/v1/streams/<stream>/events")
def append(stream: str) -> Response:
    body = json.loads(request.get_data())
    ids: str | list[str] = [ID] * len(body) if isinstance(body, list) else ID
    return Response(json.dumps(ids), content_type=JSON)


@app.get("/api/v1/streams/<stream>/events")
def page(stream: str) -> Response:
    return Response(PAGE, content_type=JSON)


@app.post("/source/upload")
def upload() -> dict[str, Any]:
    json.loads(request.get_data())
    return {"success": True, "dataset_id": "a/b", "flow_id": "a/b/1", "errors": []}


@app.get("/source/<owner>/<dataset>/<revision>")
def status(owner: str, dataset: str, revision: str) -> Response:
    return Response(STATUS, content_type=JSON)


@app.get("/api/factory/<id>")
def chart(id: str) -> Response:
    if "If-None-Match" in request.headers:
        return Response(status=304, headers={"ETag": '"1"'})
    return Response(CHART, content_type=JSON)
