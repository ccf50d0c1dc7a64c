"""Replaces itself with nginx after killing the workers of a killed nginx, which would still hold its port.

python -m quintet_local.nginx <lock of the stack's programs> <folder of nginx's sockets> command ...
"""

import os
import sys
from pathlib import Path

from quintet_local import orphans


def main(lock: str, sockets: str, *command: str) -> None:
    for process in orphans.lock_holders(Path(lock), "nginx"):
        orphans.kill(process)
    # nginx does not replace the sockets of a killed nginx.
    for socket in Path(sockets).glob("*.sock"):
        socket.unlink()
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
