"""The ceiling: the same Flask on the same gunicorn at the same paths, doing nothing of what the services do."""

import json

import orjson
from flask import Flask, Response, request

app = Flask(__name__)
JSON = "application/json; charset=utf-8"
CHART = json.dumps({"id": 1, "name": "Bench", "factory": {"chart_data": "x" * 400}})
PAGE = json.dumps([{"event": {"id": "0" * 36, "name": "BenchEvent", "version": 1}, "payload": "x" * 430}] * 100)
STATUS = json.dumps({"id": "a/b/1", "spec_contents": "x" * 500, "pipelines": "x" * 1000})


@app.get("/sequence")
def number():
    return {"sequence_no": 1000, "sequence_list": [1000]}


@app.get("/json-sequence")
def numbers():
    """Only writes such a list."""
    return Response(orjson.dumps({"sequence_list": list(range(int(request.args["n"])))}), content_type=JSON)


@app.post("/api/v1/streams/<stream>/events")
def append(stream):
    """Only parses the body."""
    json.loads(request.get_data())
    return Response('"00000000-0000-0000-0000-000000000000"', content_type=JSON)


@app.get("/api/v1/streams/<stream>/events")
def page(stream):
    """Only sends as many bytes."""
    return Response(PAGE, content_type=JSON)


@app.post("/source/upload")
def upload():
    """Only parses the body."""
    json.loads(request.get_data())
    return {"success": True, "dataset_id": "a/b", "flow_id": "a/b/1", "errors": []}


@app.get("/source/<owner>/<dataset>/<revision>")
def status(owner, dataset, revision):
    """Only sends as many bytes."""
    return Response(STATUS, content_type=JSON)


@app.get("/api/factory/<id>")
def factory(id):
    """Only sends as many bytes."""
    return Response(CHART, content_type=JSON)
