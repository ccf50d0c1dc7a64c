"""Which processes belong to a stack, also after its supervisor died: each is recorded as it starts.

A record holds a process's number and start time, so that a number given to somebody else's process
later is not mistaken for ours. Every program leads a process group, which tells its children.
"""

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

STOP_SECONDS = 15
POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Record:
    name: str
    pid: int
    started: float


def write_record(folder: Path, name: str, pid: int) -> None:
    (folder / name).write_text(f"{pid} {_started(pid)}\n")


def read_records(folder: Path) -> list[Record]:
    records = []
    for file in sorted(folder.glob("*")):
        pid, _, started = file.read_text().partition(" ")
        if pid.isdigit() and started:
            records.append(Record(file.name, int(pid), float(started)))
    return records


def remaining(record: Record, homes: list[Path]) -> list[psutil.Process]:
    """What is left of a recorded program: itself, or the children that outlived it.

    While a child lives the group's number is given to nobody else; once all have gone it may be, so
    children without their leader count only where they work inside one of the stack's folders.
    """
    members = _members(record.pid)
    leader = next((member for member in members if member.pid == record.pid), None)
    if leader is not None:
        return members if _started(leader.pid) == record.started else []
    if runs(record.pid):
        return []
    return [member for member in members if _works_inside(member, homes)]


def stop(processes: list[psutil.Process], stop_signal: int = signal.SIGTERM) -> None:
    """Asks, waits, and kills what does not listen. A leader is asked alone: it ends its children itself."""
    leaders = [process for process in processes if _group(process) == process.pid]
    for process in leaders or processes:
        _send(process, stop_signal)
    _wait_for_end(leaders or processes)
    kill(processes)


def kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        _send(process, signal.SIGKILL)
    _wait_for_end(processes)


def started_with(name: str, variable: str, value: str) -> list[psutil.Process]:
    """Processes of this user with that program's name and that variable in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.name() == name and process.environ().get(variable) == value:
                found.append(process)
        except psutil.Error:
            continue
    return found


def works_in(folder: Path, pid: int) -> bool:
    try:
        return _works_inside(psutil.Process(pid), [folder])
    except psutil.NoSuchProcess:
        return False


def _started(pid: int) -> float:
    """Seconds since boot where the kernel tells them: a clock that is set does not move them."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except OSError:
        return psutil.Process(pid).create_time()


def _members(group: int) -> list[psutil.Process]:
    members = []
    for process in psutil.process_iter():
        try:
            if _group(process) == group and process.status() != psutil.STATUS_ZOMBIE:
                members.append(process)
        except psutil.Error:
            continue
    return members


def _group(process: psutil.Process) -> int | None:
    try:
        return os.getpgid(process.pid)
    except ProcessLookupError:
        return None


def _works_inside(process: psutil.Process, homes: list[Path]) -> bool:
    try:
        folder = Path(process.cwd())
    except psutil.Error:
        return False
    return any(folder.is_relative_to(home) for home in homes)


def _send(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        pass


def is_alive(record: Record) -> bool:
    return runs(record.pid) and _started(record.pid) == record.started


def runs(pid: int) -> bool:
    """Not so for one that has ended and only waits for its parent to take notice."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _wait_for_end(stopped: list[psutil.Process]) -> None:
    ends = time.monotonic() + STOP_SECONDS
    while any(process.is_running() and runs(process.pid) for process in stopped) and time.monotonic() < ends:
        time.sleep(POLL_SECONDS)
