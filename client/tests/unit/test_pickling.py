"""Exceptions and events can be sent to another process, for instance by a pool of processes."""

import pickle

import pytest

from quintet import FlowFailed, ImportFailed, InvalidInput, LoadFailed, Quintet, ReceivedEvent
from quintet._decoding import decode
from quintet.errors import FieldError
from quintet.models import FlowStatus, ImportStatus, LoadStatus

EVENT = {
    "event": {"name": "A", "version": 1, "id": "e-1"},
    "system": None,
    "trigger": None,
    "payload": {"n": 1},
    "stream": "s",
    "sequence": 1,
    "position": 1,
    "producer": "p",
    "user": "ann",
    "request_id": "r",
    "received_at": "2026-11-27T10:00:00Z",
}


def copy_of(value):
    return pickle.loads(pickle.dumps(value))


def status_of(class_, **fields):
    """Return a status whose other fields are None."""
    names = class_.__dataclass_fields__
    return class_(**{**dict.fromkeys(names), **fields})


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (ImportFailed(status_of(ImportStatus, task_id="t", message="no rows")), "import t failed: no rows"),
        (LoadFailed(status_of(LoadStatus, id="l", error="no array")), "load l failed: no array"),
        (FlowFailed(status_of(FlowStatus, id="a/b/1", error_log=["no year"])), "flow a/b/1 failed: no year"),
    ],
)
def test_failure_keeps_its_status(failure, message):
    copy = copy_of(failure)
    assert type(copy) is type(failure)
    assert (str(copy), copy.status) == (message, failure.status)


def test_response_error_keeps_its_fields():
    error = InvalidInput("d", status=400, title="Bad Request", errors=[FieldError("f", "m")], request_id="r")
    copy = copy_of(error)
    assert (str(copy), copy.status, copy.errors, copy.request_id) == (str(error), 400, (("f", "m"),), "r")


def test_received_event_keeps_its_content():
    event = decode(ReceivedEvent, EVENT)
    with Quintet("http://ann:secret@127.0.0.1:1") as quintet:
        object.__setattr__(event, "_consumption", quintet.streams("s").consume("c"))
        copy = copy_of(event)
    assert (copy, copy.id, copy.payload) == (event, "e-1", {"n": 1})
