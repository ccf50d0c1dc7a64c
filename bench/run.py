"""`make bench`: requests/s through the gateway with authentication, alternating with a baseline in the same run.

It prints a table and stores it in bench/results.md. It takes about eight minutes and needs an otherwise idle machine.
"""

import argparse
import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import factories
import pipelines
import specs
from baselines import django_behind_gateways, fastapi_behind_gateway, noop_behind_gateways
from wrk import CONNECTIONS, LoadResult, Request, run_load

from quintet_local import binaries
from quintet_local.testing import TestStack, running_stack

EVENT_PATHS = [f"/api/v1/streams/bench-{number}/events" for number in range(100)]
EVENT = {
    "event": {"name": "BenchEvent", "version": 1},
    "system": {"id": "alv123", "name": "codello alvine", "time": "2017-09-06 13:58:12", "timezone": "Europe/Berlin"},
    "trigger": {"type": "system", "name": "/path/to/script.php"},
    "payload": {
        "order": 4711,
        "lines": [{"sku": f"A-{n}", "quantity": n, "price": 9.95} for n in range(4)],
        "note": "für Ärger",
    },
}
PRODUCER = {"Content-Type": "application/json", "X-Producer-ID": "bench"}
CONSUMER = {"X-Consumer-ID": "bench"}
PAGE_PATHS = [f"{path}?eventName=BenchEvent&limit=100" for path in EVENT_PATHS]

ONE_EVENT = Request(EVENT_PATHS, "POST", PRODUCER, json.dumps(EVENT))
HUNDRED_EVENTS = Request(EVENT_PATHS, "POST", PRODUCER, json.dumps([EVENT] * 100))
NUMBERS_AND_APPENDS = [
    ("issue one number", Request(["/sequence"])),
    ("issue 1000 numbers", Request(["/json-sequence?n=1000"])),
    ("append one event", ONE_EVENT),
    ("append 100 events", HUNDRED_EVENTS),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    arguments = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("bench: wrk is required; install it (Debian: apt-get install wrk) and run this command again")
    with (
        tempfile.TemporaryDirectory(prefix="quintet-bench-") as name,
        running_stack(RATE_LIMITS="off", **specs.SETTINGS) as stack,
    ):
        with noop_behind_gateways(stack, Path(name)) as (noop, noop_without_authentication):
            lines = _measure(stack, noop, noop_without_authentication, arguments.rounds, arguments.seconds)
        lines += ["", *pipelines.measure(Path(name), arguments.rounds)]
    report = "\n".join([*_header(arguments), *lines]) + "\n"
    print(report)
    (Path(__file__).resolve().parent / "results.md").write_text(report)


def _header(arguments: argparse.Namespace) -> list[str]:
    cpus = subprocess.run(["nproc"], capture_output=True, text=True).stdout.strip()
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    return [
        "# Results of `make bench`",
        "",
        f"{when} UTC, {cpus} processors ({platform.machine()}), Python {platform.python_version()}; the load generator "
        f"runs on them too. Median of {arguments.rounds} rounds of {arguments.seconds} s, {CONNECTIONS} connections, "
        "our service and the no-op baseline (or the application that the row names), alternating.",
        "",
        "| request | ours/s | p50 ms | p99 ms | baseline/s | ratio (min–max) |",
        "|---|---|---|---|---|---|",
    ]


def _measure(stack: TestStack, noop: str, noop_without_authentication: str, rounds: int, seconds: int) -> list[str]:
    def load(address: str, request: Request) -> Callable[[], LoadResult]:
        return lambda: run_load(address, stack.user, stack.password, request, seconds)

    def compare(name: str, request: Request, baseline: str = noop) -> None:
        lines.append(_row(name, *_alternate(load(stack.url, request), load(baseline, request), rounds)))
        print(lines[-1], flush=True)

    lines: list[str] = []
    factory_paths = factories.create_factories(stack)
    page = ("read a page of 100 events", Request(PAGE_PATHS, "GET", CONSUMER))
    for name, request in [*NUMBERS_AND_APPENDS, page, *specs.cases(stack), *factories.cases(stack, factory_paths)]:
        compare(name, request)
    with fastapi_behind_gateway(stack) as fastapi:
        for name, request in [*NUMBERS_AND_APPENDS, ("read a factory", Request(factory_paths))]:
            compare(f"{name}, compared with FastAPI", request, fastapi)
    with django_behind_gateways(stack, factory_paths[0]) as django_addresses:
        for name, address in django_addresses.items():
            compare(f"read a factory, compared with {name}", Request(factory_paths), address)
        stack.stop("valkey")
        compare("read a factory, Redis stopped", Request(factory_paths))
        for name, address in django_addresses.items():
            compare(f"read a factory, Redis stopped, compared with {name}", Request(factory_paths), address)
        stack.start("valkey")
    request = Request(["/sequence"])
    # More rounds, because the difference is smaller than the noise of a few rounds.
    pair = _alternate(load(noop, request), load(noop_without_authentication, request), 4 * rounds)
    lines.append(_row("no-op with authentication, compared with no-op without", *pair))
    inserts = statistics.median(_bare_inserts(stack, seconds) for _ in range(rounds))
    rates = [factories.record_production(stack) for _ in range(rounds)]
    accepted, charted = (statistics.median(rate) for rate in zip(*rates, strict=True))
    lines += [
        "",
        f"Production in batches of {factories.BATCH_SIZE}, {factories.CLIENTS} clients: "
        f"{accepted:,.0f} points/s accepted, {charted:,.0f} points/s in their charts.",
    ]
    lines += ["", f"A bare `INSERT` of the same row, 16 clients of pgbench: {inserts:,.0f} rows/s."]
    return lines


def _alternate(
    ours: Callable[[], LoadResult], baseline: Callable[[], LoadResult], rounds: int
) -> tuple[list[LoadResult], list[LoadResult]]:
    """Return the results of alternating rounds, after one round that warms up."""
    ours(), baseline()
    pairs = [(ours(), baseline()) for _ in range(rounds)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _row(name: str, ours: list[LoadResult], baseline: list[LoadResult]) -> str:
    ratios = sorted(our.per_second / other.per_second for our, other in zip(ours, baseline, strict=True))
    rate = statistics.median(result.per_second for result in ours)
    p50 = statistics.median(result.p50_ms for result in ours)
    p99 = statistics.median(result.p99_ms for result in ours)
    baseline_rate = statistics.median(result.per_second for result in baseline)
    ratio = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f})"
    return f"| {name} | {rate:,.0f} | {p50:.1f} | {p99:.1f} | {baseline_rate:,.0f} | {ratio} |"


def _bare_inserts(stack: TestStack, seconds: int) -> float:
    body = json.dumps(EVENT).replace("'", "''")
    url = stack.admin_database_url
    create = "CREATE TABLE IF NOT EXISTS bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text NOT NULL)"
    psql = str(binaries.postgres("psql"))
    subprocess.run([psql, "-q", "-d", url, "-c", f"SET client_min_messages = error; {create}"], check=True)
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(f"INSERT INTO bare (body) VALUES ('{body}');\n")
        script.flush()
        command = [str(binaries.postgres("pgbench")), "-n", "-c16", "-j2", f"-T{seconds}", "-f", script.name, "-d", url]
        result = subprocess.run([part for part in command if part != "-d"], capture_output=True, text=True, check=True)
    return float(result.stdout.split("tps = ")[1].split()[0])


if __name__ == "__main__":
    main()
