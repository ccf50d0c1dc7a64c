"""`make bench`: requests/s through the gateway with authentication on, each beside its ceiling, in turn in one run.

Prints a table and keeps it in bench/results.md. Takes about eight minutes; wants a machine that does nothing else.
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
import specs
import tables
from ceiling import djangos_behind_gateways, fastapi_behind_gateway, noop_behind_gateways
from load import CONNECTIONS, Burst, Request, burst

from quintet_local import binaries
from quintet_local.testing import TestStack, running_stack

STREAMS = [f"/api/v1/streams/bench-{number}/events" for number in range(100)]
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
PAGE = [f"{stream}?eventName=BenchEvent&limit=100" for stream in STREAMS]

ONE = Request(STREAMS, "POST", PRODUCER, json.dumps(EVENT))
HUNDRED = Request(STREAMS, "POST", PRODUCER, json.dumps([EVENT] * 100))
DRAWS_AND_APPENDS = [
    ("draw one number", Request(["/sequence"])),
    ("draw 1000 numbers", Request(["/json-sequence?n=1000"])),
    ("append one event", ONE),
    ("append 100 events", HUNDRED),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    given = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("bench: wrk is missing; install it (Debian: apt-get install wrk) and run this again")
    with (
        tempfile.TemporaryDirectory(prefix="quintet-bench-") as name,
        running_stack(RATE_LIMITS="off", **specs.SETTINGS) as stack,
    ):
        with noop_behind_gateways(stack, Path(name)) as (noop, without):
            lines = _measure(stack, noop, without, given.rounds, given.seconds)
        lines += ["", *tables.lines(Path(name), given.rounds)]
    report = "\n".join([*_header(given), *lines]) + "\n"
    print(report)
    (Path(__file__).resolve().parent / "results.md").write_text(report)


def _header(given: argparse.Namespace) -> list[str]:
    cpus = subprocess.run(["nproc"], capture_output=True, text=True).stdout.strip()
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    return [
        "# Results of `make bench`",
        "",
        f"{when} UTC, {cpus} processors ({platform.machine()}), Python {platform.python_version()}; the load generator "
        f"runs on them too. Median of {given.rounds} rounds of {given.seconds} s, {CONNECTIONS} connections, "
        "ours and the ceiling (or the server that the row names), in turn.",
        "",
        "| request | ours/s | p50 ms | p99 ms | ceiling/s | ratio (min–max) |",
        "|---|---|---|---|---|---|",
    ]


def _measure(stack: TestStack, noop: str, without: str, rounds: int, seconds: int) -> list[str]:
    def ask(address: str, request: Request) -> Callable[[], Burst]:
        return lambda: burst(address, stack.user, stack.password, request, seconds)

    def compare(name: str, request: Request, other: str = noop) -> None:
        lines.append(_row(name, *_in_turn(ask(stack.url, request), ask(other, request), rounds)))
        print(lines[-1], flush=True)

    lines: list[str] = []
    charts = factories.paths(stack)
    page = ("read a page of 100 events", Request(PAGE, "GET", CONSUMER))
    for name, request in [*DRAWS_AND_APPENDS, page, *specs.cases(stack), *factories.cases(stack, charts)]:
        compare(name, request)
    with fastapi_behind_gateway(stack) as fastapi:
        for name, request in [*DRAWS_AND_APPENDS, ("read a factory", Request(charts))]:
            compare(f"{name}, compared with FastAPI", request, fastapi)
    with djangos_behind_gateways(stack, charts[0]) as djangos:
        for name, django in djangos.items():
            compare(f"read a factory, compared with {name}", Request(charts), django)
        stack.stop("valkey")
        compare("read a factory, Redis stopped", Request(charts))
        for name, django in djangos.items():
            compare(f"read a factory, Redis stopped, compared with {name}", Request(charts), django)
        stack.start("valkey")
    plain = Request(["/sequence"])
    # So close to each other that the noise of a few rounds would hide it.
    ours, ceiling = _in_turn(ask(noop, plain), ask(without, plain), 4 * rounds)
    lines.append(_row("the no-op, with authentication / without", ours, ceiling))
    inserts = statistics.median(_bare_inserts(stack, seconds) for _ in range(rounds))
    rates = [factories.taken_in(stack) for _ in range(rounds)]
    accepted, charted = (statistics.median(rate) for rate in zip(*rates, strict=True))
    lines += [
        "",
        f"Production by batches of {factories.BATCH}, {factories.SENDERS} clients: {accepted:,.0f} points/s accepted, "
        f"{charted:,.0f} points/s into their charts.",
    ]
    lines += ["", f"A bare `INSERT` of the same row, 16 clients of pgbench: {inserts:,.0f} rows/s."]
    return lines


def _in_turn(ours: Callable[[], Burst], ceiling: Callable[[], Burst], rounds: int) -> tuple[list[Burst], list[Burst]]:
    ours(), ceiling()
    pairs = [(ours(), ceiling()) for _ in range(rounds)]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def _row(name: str, ours: list[Burst], ceiling: list[Burst]) -> str:
    ratios = sorted(a.per_second / b.per_second for a, b in zip(ours, ceiling, strict=True))
    rate, p50, p99 = (statistics.median(values) for values in zip(*((b.per_second, b.p50_ms, b.p99_ms) for b in ours)))  # noqa: B905
    top = statistics.median(b.per_second for b in ceiling)
    ratio = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f}–{ratios[-1]:.2f})"
    return f"| {name} | {rate:,.0f} | {p50:.1f} | {p99:.1f} | {top:,.0f} | {ratio} |"


def _bare_inserts(stack: TestStack, seconds: int) -> float:
    body = json.dumps(EVENT).replace("'", "''")
    url = stack.admin_database_url
    make = "CREATE TABLE IF NOT EXISTS bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text NOT NULL)"
    psql = str(binaries.postgres("psql"))
    subprocess.run([psql, "-q", "-d", url, "-c", f"SET client_min_messages = error; {make}"], check=True)
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(f"INSERT INTO bare (body) VALUES ('{body}');\n")
        script.flush()
        command = [str(binaries.postgres("pgbench")), "-n", "-c16", "-j2", f"-T{seconds}", "-f", script.name, "-d", url]
        said = subprocess.run([part for part in command if part != "-d"], capture_output=True, text=True, check=True)
    return float(said.stdout.split("tps = ")[1].split()[0])


if __name__ == "__main__":
    main()
