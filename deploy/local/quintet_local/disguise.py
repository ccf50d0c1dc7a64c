"""As whom Postgres runs: it refuses to be root, and initdb wants a user who has a name."""

import os
import pwd
import subprocess

from quintet_local.progress import StackError

NOBODY = 65534
NONE: list[str] = []
# In a user namespace of its own the process is nobody, while on disk its files stay the user's.
UNSHARE = ["unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}"]
# Really somebody else, who needs the programs and the data where he can go.
SETPRIV = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


def choose() -> list[str]:
    """The words to put before a command; QUINTET_POSTGRES_AS=setpriv passes over the namespace."""
    if os.getuid() != 0 and _has_name(os.getuid()):
        return NONE
    if os.environ.get("QUINTET_POSTGRES_AS") != "setpriv" and _works(UNSHARE):
        return UNSHARE
    if os.getuid() == 0 and _works(SETPRIV):
        return SETPRIV
    raise StackError("Postgres runs neither as root nor as a user without a name: use another user")


def _works(prefix: list[str]) -> bool:
    try:
        return subprocess.run([*prefix, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def _has_name(uid: int) -> bool:
    try:
        return bool(pwd.getpwuid(uid))
    except KeyError:
        return False
