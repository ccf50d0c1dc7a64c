"""Becomes a program after recording itself; started by the supervisor for each program.

python -m quintet_local.launch <folder of records> <folder of sockets> <stack's folder> <program> command ...
"""

import os
import sys
from pathlib import Path

from quintet_local import processes


def main(pids: str, run: str, home: str, name: str, *command: str) -> None:
    records = Path(pids)
    for record in processes.read_records(records):
        # After a `kill -9` of nginx its workers go on holding the port that its successor needs.
        if record.name == name:
            processes.kill(processes.remaining(record, [Path(home)]))
    # It also leaves sockets of its own, which nginx itself does not replace.
    for socket in (Path(run) / name).glob("*.sock"):
        socket.unlink()
    processes.write_record(records, name, os.getpid())
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
