"""The logs of a running stack: of one program, of one request and above a level."""

import json
import secrets
from datetime import datetime

import pytest
import requests

from quintet_testing.waiting import eventually

pytestmark = pytest.mark.slow


def test_logs_of_one_request_are_printed_from_all_programs_sorted_by_time(stack):
    request_id = f"import-{secrets.token_hex(4)}"
    response = requests.put(
        f"{stack.url}/acme_orders/api/v1/orders/import",
        data="id,name,email,state,zipcode,birthday\n",
        headers={"Content-Type": "text/csv", "X-Request-ID": request_id},
        auth=(stack.user, stack.password),
        timeout=60,
    )
    assert response.ok, response.text
    lines = []

    def programs_that_logged():
        lines[:] = map(json.loads, stack.run("logs", "--request", request_id).stdout.splitlines())
        return {line.get("service") or line.get("logger") for line in lines}

    # The gateway forwards the upload, orders-web stores it, and orders-worker imports it and issues a batch number.
    eventually(lambda: {"gateway", "orders", "sequence"} <= programs_that_logged())
    assert {line["request_id"] for line in lines} == {request_id}
    times = [datetime.fromisoformat(line["time"]) for line in lines]
    assert times == sorted(times)


def test_logs_of_one_request_include_rotated_files(stack):
    request_id = f"rotated-{secrets.token_hex(4)}"
    rotated = stack.layout.logs / "orders-web.log.2"
    rotated.write_text(json.dumps({"time": "2026-01-01T00:00:00Z", "request_id": request_id}) + "\n")
    try:
        assert request_id in stack.run("logs", "orders-web", "--request", request_id).stdout
        assert stack.run("logs", "nginx", "--request", request_id).stdout == ""
    finally:
        rotated.unlink()


def test_logs_of_a_level_omit_lines_below_it(stack):
    output = stack.run("logs", "postgres", "--no-follow", "--level", "warning")
    assert output.returncode == 0 and "database system is ready" not in output.stdout
    output = stack.run("logs", "postgres", "--no-follow", "--level", "info")
    assert "database system is ready" in output.stdout
    assert "invalid choice: 'loud'" in stack.run("logs", "--level", "loud").stderr
