"""The faults: what each does to a running stack, and on which stack it is possible."""

import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from fnmatch import fnmatch
from random import Random

import psycopg2

from quintet_e2e.stacks import RunningStack
from quintet_faults import disks
from quintet_faults.clocks import Clocks

SERVICES = ("sequence", "event", "orders", "specstore", "factory")
WEBS = tuple(f"{service}-web" for service in SERVICES)
WORKERS = tuple(f"{service}-worker" for service in SERVICES)
INFRASTRUCTURE = ("gateway", "postgres", "rabbitmq", "redis")
# Longer than every timeout that a request is permitted to wait for.
_HOLD_SECONDS = (12.0, 25.0)
_POWER_LOSSES, _SECONDS_WITH_POWER = 3, (1.0, 5.0)
# No request takes longer, unless the only program that could respond is frozen or unreachable: the gateway waits up to
# 30 s for a service, and a client of an unreachable gateway notices its return when it sends again, with backoff.
MAX_REQUEST_SECONDS = 10.0
_MAX_FROZEN_WEB_SECONDS, _MAX_GATEWAY_SECONDS = 32.0, 52.0
_LOST_PACKETS = 0.05
_CLOCK_STEP_SECONDS = 3600
_ALARMS = {
    "memory": (
        ["set_vm_memory_high_watermark", "absolute", "1MB"],
        ["set_vm_memory_high_watermark", "absolute", "512MB"],
    ),
    "disk": (["set_disk_free_limit", "100TB"], ["set_disk_free_limit", "200MB"]),
}


@dataclass(frozen=True)
class Context:
    """The input of a fault: the stack, the random generator of the run, and how long a fault may last."""

    stack: RunningStack
    random: Random
    max_hold_seconds: float = _HOLD_SECONDS[1]

    def hold(self) -> None:
        """Wait while the fault lasts."""
        min_seconds = min(_HOLD_SECONDS[0], self.max_hold_seconds)
        threading.Event().wait(self.random.uniform(min_seconds, self.max_hold_seconds))


@dataclass(frozen=True)
class Fault:
    """A fault; `inject` returns the monotonic time from which on the system can recover."""

    name: str
    inject: Callable[[Context], float]
    # The reason why it is impossible with this stack, or nothing.
    skipped_because: str = ""
    # No request may take longer.
    max_request_seconds: float = MAX_REQUEST_SECONDS
    # Whether the times at which programs store events can be compared with those of requests.
    has_correct_clock: bool = True


def faults_for(stack: RunningStack, clocks: Clocks | None = None) -> list[Fault]:
    """Return all faults in a fixed order; those that are impossible with this stack have a reason.

    `clocks` are those of the programs, if they do not have that of the machine.
    """
    is_compose = stack.kind == "compose"
    no_network = "" if is_compose else "only containers have networks that can be cut"
    no_limit = "" if is_compose else "only containers have a memory limit"
    no_volume = "" if is_compose else "only containers have volumes that can be replaced by another disk"
    no_clock = "" if clocks else "only containers have clocks of their own, and only where a C compiler is installed"
    programs = (*INFRASTRUCTURE, *WEBS, *WORKERS)
    return [
        *(Fault(f"kill-{program}", _kill(program)) for program in programs),
        *(Fault(f"kill-process-{web}", _kill_process(web)) for web in WEBS),
        *(Fault(f"kill-master-{web}", _kill_master(web)) for web in WEBS),
        Fault("kill-everything", _kill_everything),
        Fault("stop-rabbitmq", _stop("rabbitmq")),
        Fault("stop-postgres", _stop("postgres")),
        *(Fault(f"restart-{program}", _restart(program)) for program in (*WEBS, *WORKERS)),
        Fault("terminate-connections", _terminate_connections),
        *(Fault(f"pause-{program}", _pause(program), "", _max_seconds(program)) for program in programs),
        # Postgres has no network: programs connect to its socket.
        *(
            Fault(f"cut-{program}", _cut(program), no_network)
            for program in programs
            if program not in ("postgres", "gateway")
        ),
        Fault("cut-gateway", _cut("gateway"), no_network, _MAX_GATEWAY_SECONDS),
        *(
            Fault(f"lose-packets-{program}", _lose_packets(program), no_network)
            for program in ("gateway", "rabbitmq", "redis")
        ),
        *(Fault(f"{name}-alarm", _raise_alarm(*commands)) for name, commands in _ALARMS.items()),
        *(
            Fault(name, _step_clock(clocks, seconds, stepped), no_clock, has_correct_clock=False)
            for name, seconds, stepped in (
                ("clock-forward", _CLOCK_STEP_SECONDS, ()),
                ("clock-back", -_CLOCK_STEP_SECONDS, ()),
                ("clock-of-postgres", _CLOCK_STEP_SECONDS, ("postgres",)),
                ("clock-of-webs", _CLOCK_STEP_SECONDS, WEBS),
                ("clock-of-workers", _CLOCK_STEP_SECONDS, WORKERS),
            )
        ),
        *(Fault(f"out-of-memory-{program}", _exhaust_memory(program), no_limit) for program in (*WEBS, *WORKERS)),
        *(Fault(f"full-disk-{program}", _fill_disk(program), no_volume) for program in disks.FOLDERS),
        *(Fault(f"lose-power-{program}", _lose_power(program), no_volume) for program in disks.FOLDERS),
    ]


def select(faults: list[Fault], patterns: list[str]) -> list[Fault]:
    """Return the faults whose names match a pattern such as `kill-*`; raise ValueError for one without a match."""
    for pattern in patterns:
        if not any(fnmatch(fault.name, pattern) for fault in faults):
            raise ValueError(f"{pattern} matches no fault; the faults are {', '.join(fault.name for fault in faults)}")
    return [fault for fault in faults if any(fnmatch(fault.name, pattern) for pattern in patterns)]


def _max_seconds(frozen_program: str) -> float:
    if frozen_program == "gateway":
        return _MAX_GATEWAY_SECONDS
    return _MAX_FROZEN_WEB_SECONDS if frozen_program in WEBS else MAX_REQUEST_SECONDS


def _kill(program: str) -> Callable[[Context], float]:
    def inject(context: Context) -> float:
        killed_at = time.monotonic()
        context.stack.kill(program)
        return killed_at

    return inject


def _kill_process(web: str) -> Callable[[Context], float]:
    def inject(context: Context) -> float:
        context.stack.kill_gunicorn_worker(web, context.random)
        return time.monotonic()

    return inject


def _kill_master(web: str) -> Callable[[Context], float]:
    def inject(context: Context) -> float:
        killed_at = time.monotonic()
        context.stack.kill_gunicorn_master(web)
        return killed_at

    return inject


def _kill_everything(context: Context) -> float:
    killed_at = time.monotonic()
    context.stack.kill_everything()
    return killed_at


def _stop(program: str) -> Callable[[Context], float]:
    def inject(context: Context) -> float:
        context.stack.stop(program)
        try:
            context.hold()
        finally:
            context.stack.start(program)
        return time.monotonic()

    return inject


def _restart(program: str) -> Callable[[Context], float]:
    def inject(context: Context) -> float:
        context.stack.stop(program)
        stopped_at = time.monotonic()
        context.stack.start(program)
        return stopped_at

    return inject


def _terminate_connections(context: Context) -> float:
    with closing(psycopg2.connect(context.stack.database_url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
    return time.monotonic()


def _pause(program: str) -> Callable[[Context], float]:
    def inject(context: Context) -> float:
        context.stack.freeze(program)
        try:
            context.hold()
        finally:
            context.stack.thaw(program)
        return time.monotonic()

    return inject


def _cut(program: str) -> Callable[[Context], float]:
    def inject(context: Context) -> float:
        with context.stack.disconnected(program):
            context.hold()
        return time.monotonic()

    return inject


def _lose_packets(program: str) -> Callable[[Context], float]:
    def inject(context: Context) -> float:
        with context.stack.losing_packets(program, _LOST_PACKETS):
            context.hold()
        return time.monotonic()

    return inject


def _raise_alarm(set_alarm: list[str], clear_alarm: list[str]) -> Callable[[Context], float]:
    def inject(context: Context) -> float:
        context.stack.rabbitmqctl(*set_alarm)
        try:
            context.hold()
        finally:
            context.stack.rabbitmqctl(*clear_alarm)
        return time.monotonic()

    return inject


def _step_clock(clocks: Clocks | None, seconds: int, programs: tuple[str, ...]) -> Callable[[Context], float]:
    def inject(context: Context) -> float:
        assert clocks
        with clocks.stepped(seconds, programs):
            context.hold()
        return time.monotonic()

    return inject


def _exhaust_memory(program: str) -> Callable[[Context], float]:
    def inject(context: Context) -> float:
        started_at = time.monotonic()
        context.stack.exhaust_memory(program)
        return started_at

    return inject


def _fill_disk(program: str) -> Callable[[Context], float]:
    """Return a fault whose end is the restart on the original volume, before which the stack must become healthy."""

    def inject(context: Context) -> float:
        with disks.replaced_volume(context.stack, program) as disk:
            context.stack.wait_until_healthy()
            disk.fill(disks.REMAINING_BYTES.get(program, 0))
            context.hold()
            disk.free()
            context.stack.wait_until_healthy()
        return time.monotonic()

    return inject


def _lose_power(program: str) -> Callable[[Context], float]:
    """Return a fault after which the program has only what it flushed. Its end is as that of a full disk."""

    def inject(context: Context) -> float:
        stack = context.stack
        with disks.replaced_volume(stack, program) as disk:
            for _ in range(_POWER_LOSSES):
                stack.wait_until_healthy()
                threading.Event().wait(context.random.uniform(*_SECONDS_WITH_POWER))
                stack.freeze(program)
                disk.copy_flushed()
                stack.halt(program)
                disk.restore_flushed()
                stack.start(program)
            stack.wait_until_healthy()
        return time.monotonic()

    return inject
