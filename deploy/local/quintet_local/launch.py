"""Becomes a program after recording itself; started by the supervisor for each program.

python -m quintet_local.launch <folder of records> <program> <stack's folder> command ...
"""

import os
import sys
from pathlib import Path

from quintet_local import processes


def main(folder: str, name: str, home: str, *command: str) -> None:
    records = Path(folder)
    for record in processes.read_records(records):
        # After a `kill -9` of nginx its workers go on holding the port that its successor needs.
        if record.name == name:
            processes.kill(processes.remaining(record, [Path(home)]))
    processes.write_record(records, name, os.getpid())
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
