"""Selection of log lines of all programs by request ID and by level."""

import json

import pytest

from quintet_local.log_filter import LogFilter, sorted_by_time

REQUEST = json.dumps(
    {"event": "request.handled", "level": "info", "time": "2026-11-26T10:00:01.5Z", "request_id": "r1"}
)
GATEWAY = json.dumps({"time": "2026-11-26T10:00:02+00:00", "logger": "gateway", "request_id": "r1", "status": 200})
FAILED = json.dumps({"event": "message.failed", "level": "error", "time": "2026-11-26T10:00:00Z", "request_id": "r2"})
MENTIONS = json.dumps({"event": "x", "level": "info", "time": "2026-11-26T10:00:00Z", "reason": "r1"})


def test_lines_of_one_request_are_selected_by_their_field():
    lines = [REQUEST, GATEWAY, FAILED, MENTIONS, "r1 in plain text"]
    assert list(LogFilter(request_id="r1").select(lines)) == [REQUEST, GATEWAY]


@pytest.mark.parametrize(
    ("line", "levels"),
    [
        (REQUEST, ["debug", "info"]),
        (FAILED, ["debug", "info", "warning", "error"]),
        (f"event-web-1  | {FAILED}", ["debug", "info", "warning", "error"]),
        ("2026/11/26 10:00:00 [warn] 7#7: a client disconnected", ["debug", "info", "warning"]),
        ("2026-11-26 10:00:00.1 [notice] <0.1.0> started", ["debug", "info"]),
        (
            "2026-11-26 10:00:00.000 UTC [12] FATAL:  the database system is starting up",
            ["debug", "info", "warning", "error", "critical"],
        ),
        ("2026-11-26 10:00:00,123 WARN exited: orders-web (terminated by SIGKILL)", ["debug", "info", "warning"]),
        ("2026-11-26 10:00:00,123 CRIT could not write pidfile", ["debug", "info", "warning", "error", "critical"]),
        ("redis-1  | 1:M 26 Nov 2026 10:00:00.000 # Out of memory", ["debug", "info", "warning"]),
        ("7:M 26 Nov 2026 10:00:00.000 * Ready to accept connections", ["debug", "info"]),
        ("no level at all", ["debug", "info"]),
        ('{"not": "closed"', ["debug", "info"]),
    ],
)
def test_line_is_selected_from_its_level_downward(line, levels):
    accepted = [
        level for level in ("debug", "info", "warning", "error", "critical") if LogFilter("", level).accepts(line)
    ]
    assert accepted == levels


def test_request_id_and_level_are_combined():
    lines = [REQUEST, FAILED]
    assert list(LogFilter("r2", "warning").select(lines)) == [FAILED]
    assert list(LogFilter("r1", "warning").select(lines)) == []


def test_lines_of_several_programs_are_sorted_by_time():
    assert sorted_by_time([GATEWAY, REQUEST, FAILED]) == [FAILED, REQUEST, GATEWAY]


def test_lines_with_different_offsets_from_utc_are_sorted_by_time():
    local_gateway = json.dumps({"time": "2026-11-26T09:00:01+01:00", "request_id": "r1"})
    assert sorted_by_time([REQUEST, local_gateway, FAILED]) == [local_gateway, FAILED, REQUEST]


def test_terminal_sequence_of_docker_compose_is_removed():
    assert list(LogFilter(request_id="r1").select([f"\x1b[2Kevent-web-1  | {REQUEST}"])) == [
        f"event-web-1  | {REQUEST}"
    ]
