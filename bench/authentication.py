"""`python bench/authentication.py`: the cost of authentication in nginx, as a share of the cheapest Flask route.

It measures the nginx of both deployment modes: that of this machine and, if a Docker engine responds, that of the
container. The rates of the two gateways differ by less than they vary from round to round, so nginx's processor time is
measured too. It prints a table and stores it in bench/authentication.md.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import psutil
from baselines import LOCAL, Nginx, noop_behind_gateways
from wrk import LoadResult, Request, run_load

from quintet_local.testing import TestStack, running_stack

CHECKOUT = Path(__file__).resolve().parents[1]
ISSUE_ONE_NUMBER = Request(["/sequence"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=int, default=3)
    arguments = parser.parse_args()
    with running_stack(RATE_LIMITS="off") as stack:
        servers = {"on this machine": LOCAL, "in the container": _in_container(stack)}
        rows = [_row(name, stack, nginx, arguments) for name, nginx in servers.items() if nginx]
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    lines = [
        "# Cost of authentication",
        "",
        f"{when} UTC, {os.cpu_count()} processors, shared with the load generator; a Flask route that does nothing, "
        "behind the same gateway with and without `auth_basic`, alternating, "
        f"{arguments.rounds} rounds of {arguments.seconds} s.",
        "",
        "| nginx | requests/s with | without | ratio (quartiles) | nginx's µs with | without | share of a request |",
        "|---|---|---|---|---|---|---|",
        *rows,
    ]
    report = "\n".join(lines) + "\n"
    print(report)
    (Path(__file__).resolve().parent / "authentication.md").write_text(report)


def _in_container(stack: TestStack) -> Nginx | None:
    """Return the nginx of the gateway's image, or None if no Docker engine responds."""
    if not shutil.which("docker") or subprocess.run(["docker", "info"], capture_output=True).returncode:
        return None
    build = ["docker", "build", "-q", "-f", str(CHECKOUT / "gateway" / "Dockerfile"), str(CHECKOUT)]
    image = subprocess.run(build, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    read_only = [f"{path}:{path}:ro" for path in (CHECKOUT, stack.layout.home)]

    def command(folder: Path, conf: Path) -> list[str]:
        volumes = [option for volume in [*read_only, f"{folder}:{folder}"] for option in ("-v", volume)]
        run = ["docker", "run", "--rm", "--network", "host", "--user", f"{os.getuid()}:{os.getgid()}", *volumes]
        return [*run, "--entrypoint", "nginx", image, "-p", f"{folder}/", "-e", "stderr", "-c", str(conf)]

    # The configuration is rendered here: without a version, it has no directive that the container's nginx lacks.
    return Nginx(command, {"NGINX": "true"})


def _row(name: str, stack: TestStack, nginx: Nginx, arguments: argparse.Namespace) -> str:
    with (
        tempfile.TemporaryDirectory(prefix="quintet-bench-") as folder,
        noop_behind_gateways(stack, Path(folder), nginx) as addresses,
    ):
        gateways = [_nginx_processes(Path(folder) / f"{name}.conf") for name in ("gateway", "open")]
        rounds = [
            [_measure(stack, *pair, arguments.seconds) for pair in zip(addresses, gateways, strict=True)]
            for _ in range(arguments.rounds + 1)
        ][1:]
    ratios = statistics.quantiles([secured[0].per_second / open_[0].per_second for secured, open_ in rounds])
    rate, open_rate = (statistics.median(pair[side][0].per_second for pair in rounds) for side in (0, 1))
    cost, open_cost = (statistics.median(pair[side][1] for pair in rounds) for side in (0, 1))
    total_cost = (os.cpu_count() or 1) * 1e6 / open_rate
    return (
        f"| {name} | {rate:,.0f} | {open_rate:,.0f} | {ratios[1]:.2f} ({ratios[0]:.2f}–{ratios[2]:.2f}) | {cost:.0f} | "
        f"{open_cost:.0f} | {(cost - open_cost) / total_cost:.1%} |"
    )


def _nginx_processes(conf: Path) -> list[psutil.Process]:
    (master,) = (
        process
        for process in psutil.process_iter()
        if process.name() == "nginx" and str(conf) in " ".join(process.cmdline())
    )
    return [master, *master.children()]


def _measure(stack: TestStack, address: str, gateway: list[psutil.Process], seconds: int) -> tuple[LoadResult, float]:
    """Return the load result and the gateway's processor time per request, in microseconds."""
    before = _processor_seconds(gateway)
    result = run_load(address, stack.user, stack.password, ISSUE_ONE_NUMBER, seconds)
    return result, (_processor_seconds(gateway) - before) * 1e6 / (result.per_second * seconds)


def _processor_seconds(processes: list[psutil.Process]) -> float:
    return float(sum(times.user + times.system for times in (process.cpu_times() for process in processes)))


if __name__ == "__main__":
    main()
