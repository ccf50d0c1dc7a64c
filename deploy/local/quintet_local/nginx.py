"""Becomes nginx, once the workers of a killed one are gone: they would keep the port that its successor needs.

python -m quintet_local.nginx <lock of the stack's programs> <folder of nginx's sockets> command ...
"""

import os
import sys
from pathlib import Path

from quintet_local import orphans


def main(lock: str, sockets: str, *command: str) -> None:
    for process in orphans.holders(Path(lock), "nginx"):
        orphans.kill(process)
    # nginx does not replace those of a killed one.
    for socket in Path(sockets).glob("*.sock"):
        socket.unlink()
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
