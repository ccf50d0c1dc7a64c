"""Processor time of groups of processes, read from /proc."""

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from quintet_local.testing import TestStack

GROUPS = ("gateway", "web", "workers", "Postgres", "broker", "Redis", "log")
# Process IDs by group. The time of a process includes that of its descendants.
Groups = Mapping[str, Collection[int]]
# Seconds by group.
Usage = dict[str, float]

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def groups_of(stack: TestStack) -> Groups:
    pids = stack.pids()
    return {
        "gateway": [pids["nginx"]],
        "web": [pid for name, pid in pids.items() if name.endswith("-web") or name == "console"],
        "workers": [pid for name, pid in pids.items() if name.endswith("-worker")],
        "Postgres": [pids["postgres"]],
        "broker": [pids["rabbitmq"], pids["epmd"]],
        "Redis": [pids["valkey"]],
        # Every program writes its log to a pipe; the supervisor stores and rotates it.
        "log": [stack.supervisor.pid()],
    }


def read_usage(groups: Groups) -> Usage:
    """Return the processor time that each group has used since its start, including that of ended processes."""
    parents, seconds = _read_all()
    roots = {pid: group for group, pids in groups.items() for pid in pids}
    usage = dict.fromkeys(groups, 0.0)
    for pid, (own_seconds, children_seconds) in seconds.items():
        group = next((roots[ancestor] for ancestor in _lineage(pid, parents) if ancestor in roots), None)
        if group == "log":
            # The other programs are its children, which are counted in their own groups.
            usage[group] += own_seconds if pid in roots else 0
        elif group:
            usage[group] += own_seconds + children_seconds
    return usage


def difference(before: Usage, after: Usage) -> Usage:
    return {group: after[group] - before[group] for group in before}


def peak_memory_mb(pids: Collection[int]) -> float:
    """Return the peak memory of the largest process of the trees, in MB."""
    parents, _ = _read_all()
    statuses = [_read(pid, "status") for pid in parents if {*_lineage(pid, parents)} & {*pids}]
    return max(int(line.split()[1]) for status in statuses for line in status.splitlines() if "VmHWM" in line) / 1000


def _read_all() -> tuple[dict[int, int], dict[int, tuple[float, float]]]:
    """Return each process's parent, and its own seconds and those of its ended children."""
    parents, seconds = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        if text := _read(pid, "stat"):
            # The second field is the name, which may contain blanks and parentheses.
            fields = text.rpartition(")")[2].split()
            user, system, children_user, children_system = (int(field) / _TICKS_PER_SECOND for field in fields[11:15])
            parents[pid], seconds[pid] = int(fields[1]), (user + system, children_user + children_system)
    return parents, seconds


def _lineage(pid: int, parents: Mapping[int, int]) -> Iterator[int]:
    """Yield the process and its ancestors."""
    while pid in parents:
        yield pid
        pid = parents[pid]


def _read(pid: int, name: str) -> str:
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        return ""
