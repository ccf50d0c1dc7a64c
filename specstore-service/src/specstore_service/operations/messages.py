"""Messages that this service sends: the events of a flow, and the jobs of its pipelines."""

from datetime import datetime
from typing import Any

from chassis.messaging import outbox

# An event is limited to 256 KiB. The status of the flow contains the complete errors.
_MAX_ERRORS, _MAX_ERROR_CHARACTERS = 50, 500


def event(name: str, payload: dict[str, Any], request_id: str, now: datetime, timer: str = "") -> outbox.Message:
    return outbox.service_event("specstore", name, payload, now=now, request_id=request_id, timer=timer)


def flow_reference(flow: dict[str, Any]) -> dict[str, Any]:
    """Return the payload that identifies a flow in events. For a private flow it reveals no owner, name or contents."""
    return {"flow": flow["event_ref"]} if flow["is_private"] else {"flow_id": flow["name"]}


def flow_finished(
    flow: dict[str, Any], *, success: bool, errors: list[str], request_id: str, now: datetime, timer: str = ""
) -> outbox.Message:
    payload = flow_reference(flow)
    if not flow["is_private"]:
        payload |= {
            "success": success,
            "errors": [text[:_MAX_ERROR_CHARACTERS] for text in errors[:_MAX_ERRORS]],
            "findability": flow["findability"],
        }
    return event("FlowFinished", payload, request_id, now, timer)


def pipeline_job(flow_id: str, pipeline: str, request_id: str) -> outbox.Message:
    return outbox.job("specstore.pipeline", {"flow": flow_id, "pipeline": pipeline}, request_id=request_id)
