"""The status of a flow, prepared for its page."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from console_service import flow_graph

# A larger graph would be neither legible nor fast; the table of pipelines is always complete.
_MAX_PIPELINES_IN_GRAPH = 200
_ENDED = ("SUCCEEDED", "FAILED")


def describe_flow(status: Mapping[str, Any]) -> dict[str, Any]:
    """Return the status of a flow with its pipelines as a list and as a graph, its files, and its previews by table."""
    flow_id = status["id"]
    pipelines = [_describe_pipeline(flow_id, id_, pipeline) for id_, pipeline in status["pipelines"].items()]
    meta, schedule = status["spec_contents"]["meta"], status["spec_contents"].get("schedule")
    files = [pipeline for pipeline in pipelines if pipeline["file"]]
    return {
        **status,
        "revision": flow_id.rpartition("/")[2],
        "findability": meta.get("findability"),
        "schedule": schedule,
        "spec_text": json.dumps(status["spec_contents"], indent=2, ensure_ascii=False),
        "is_private": meta.get("findability") == "private" or status["event_ref"] is not None,
        "has_ended": status["state"] in _ENDED,
        "pipelines": pipelines,
        "graph": _graph(pipelines) if len(pipelines) <= _MAX_PIPELINES_IN_GRAPH else None,
        "files": [pipeline["file"] for pipeline in files],
        "previews": {
            pipeline["name"].removesuffix("_csv_preview"): pipeline["file"]
            for pipeline in files
            if pipeline["kind"] == "derived/preview"
        },
    }


def _describe_pipeline(flow_id: str, id_: str, pipeline: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **pipeline,
        "id": id_,
        "name": _name(flow_id, id_),
        "need_names": [_name(flow_id, dependency) for dependency in pipeline["needs"]],
        "duration": _duration(pipeline["started"], pipeline["finished"]),
        "file": _file(pipeline) if pipeline["status"] == "SUCCEEDED" else None,
    }


def _name(flow_id: str, pipeline_id: str) -> str:
    """Return the part of the ID that is unique in the flow; the pipeline with the flow's ID creates the package."""
    return "package" if pipeline_id == flow_id else pipeline_id.removeprefix(f"{flow_id}/")


def _duration(started: str | None, finished: str | None) -> float | None:
    """Return the seconds from the beginning to the end, or until now; None if the pipeline has not begun."""
    if started is None:
        return None
    end = datetime.fromisoformat(finished) if finished else datetime.now(UTC)
    return max((end - datetime.fromisoformat(started)).total_seconds(), 0)


def _file(pipeline: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the file that a pipeline created. Its statistics are checked: an external runner reports anything."""
    stats = pipeline["stats"]
    path, size, rows = stats.get("path"), stats.get("bytes"), stats.get("count_of_rows")
    if not (isinstance(path, str) and isinstance(size, int)):
        return None
    return {"path": path, "bytes": size, "rows": rows if isinstance(rows, int) else None}


def _graph(pipelines: list[dict[str, Any]]) -> dict[str, Any]:
    graph = flow_graph.layout({pipeline["id"]: pipeline["needs"] for pipeline in pipelines})
    return {
        "nodes": list(zip(graph.nodes, pipelines, strict=True)),
        "edges": graph.edges,
        "width": graph.width,
        "height": graph.height,
        "node_width": flow_graph.NODE_WIDTH,
        "node_height": flow_graph.NODE_HEIGHT,
    }
