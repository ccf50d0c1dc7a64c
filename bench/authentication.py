"""`python bench/authentication.py`: what authentication costs nginx, as a share of what the cheapest Flask route costs.

With the nginx of both ways to run: the one on this machine and, if a Docker engine responds, the one in the container.
The rates of two gateways differ by less than they vary, so nginx's processor time is measured too. Prints a table and
stores it in bench/authentication.md.
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
from ceiling import LOCAL, Nginx, noop_behind_gateways
from load import Burst, Request, burst

from quintet_local.testing import TestStack, running_stack

CHECKOUT = Path(__file__).resolve().parents[1]
PLAIN = Request(["/sequence"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--seconds", type=int, default=3)
    given = parser.parse_args()
    with running_stack(RATE_LIMITS="off") as stack:
        kinds = {"on this machine": LOCAL, "in the container": _in_container(stack)}
        rows = [_row(name, stack, nginx, given) for name, nginx in kinds.items() if nginx]
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    lines = [
        "# What authentication costs",
        "",
        f"{when} UTC, {os.cpu_count()} processors, shared with the load generator; a Flask route that does nothing, "
        f"behind the same gateway with and without `auth_basic`, in turn, {given.rounds} rounds of {given.seconds} s.",
        "",
        "| nginx | requests/s with | without | ratio (quartiles) | nginx's µs with | without | share of a request |",
        "|---|---|---|---|---|---|---|",
        *rows,
    ]
    report = "\n".join(lines) + "\n"
    print(report)
    (Path(__file__).resolve().parent / "authentication.md").write_text(report)


def _in_container(stack: TestStack) -> Nginx | None:
    """The gateway's image with the configuration of the no-op; None where no engine answers."""
    if not shutil.which("docker") or subprocess.run(["docker", "info"], capture_output=True).returncode:
        return None
    build = ["docker", "build", "-q", "-f", str(CHECKOUT / "gateway" / "Dockerfile"), str(CHECKOUT)]
    image = subprocess.run(build, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    places = [f"{path}:{path}:ro" for path in (CHECKOUT, stack.layout.home)]

    def command(folder: Path, conf: Path) -> list[str]:
        volumes = [word for place in [*places, f"{folder}:{folder}"] for word in ("-v", place)]
        run = ["docker", "run", "--rm", "--network", "host", "--user", f"{os.getuid()}:{os.getgid()}", *volumes]
        return [*run, "--entrypoint", "nginx", image, "-p", f"{folder}/", "-e", "stderr", "-c", str(conf)]

    # The configuration is rendered here: without a version, it has no directive that the container's nginx lacks.
    return Nginx(command, {"NGINX": "true"})


def _row(name: str, stack: TestStack, nginx: Nginx, given: argparse.Namespace) -> str:
    with (
        tempfile.TemporaryDirectory(prefix="quintet-bench-") as folder,
        noop_behind_gateways(stack, Path(folder), nginx) as addresses,
    ):
        gateways = [_processes(Path(folder) / f"{word}.conf") for word in ("gateway", "open")]
        asked = [
            [_asked(stack, *pair, given.seconds) for pair in zip(addresses, gateways, strict=True)]
            for _ in range(given.rounds + 1)
        ][1:]
    ratios = statistics.quantiles([ours[0].per_second / other[0].per_second for ours, other in asked])
    rate, open_rate = (statistics.median(one[side][0].per_second for one in asked) for side in (0, 1))
    cost, open_cost = (statistics.median(one[side][1] for one in asked) for side in (0, 1))
    whole = (os.cpu_count() or 1) * 1e6 / open_rate
    return (
        f"| {name} | {rate:,.0f} | {open_rate:,.0f} | {ratios[1]:.2f} ({ratios[0]:.2f}–{ratios[2]:.2f}) | {cost:.0f} | "
        f"{open_cost:.0f} | {(cost - open_cost) / whole:.1%} |"
    )


def _processes(conf: Path) -> list[psutil.Process]:
    (master,) = (
        process
        for process in psutil.process_iter()
        if process.name() == "nginx" and str(conf) in " ".join(process.cmdline())
    )
    return [master, *master.children()]


def _asked(stack: TestStack, address: str, gateway: list[psutil.Process], seconds: int) -> tuple[Burst, float]:
    """With the microseconds of processor time that the gateway took for each request."""
    before = _processor_seconds(gateway)
    done = burst(address, stack.user, stack.password, PLAIN, seconds)
    return done, (_processor_seconds(gateway) - before) * 1e6 / (done.per_second * seconds)


def _processor_seconds(processes: list[psutil.Process]) -> float:
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))


if __name__ == "__main__":
    main()
