"""As which user Postgres runs, and how its data folder is created. Used by stacks and by tests."""

import os
import pwd
import subprocess

from quintet_local.progress import StackError

NOBODY = 65534
# In a user namespace of its own the process is nobody, while on disk its files stay the user's.
UNSHARE = ["unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}"]
# Really nobody, but not stopped by permissions of files: programs and data may be where only root can go.
SETPRIV = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
           "--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--bounding-set=-all,+dac_override"]  # fmt: skip
ADMIN = "admin"
INITDB = ["-U", ADMIN, "-E", "UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
          "--no-instructions"]  # fmt: skip


def prefix() -> list[str]:
    """Return the words before a command of Postgres: it refuses to be root, and initdb a user who has no name."""
    if os.getuid() != 0 and _has_name(os.getuid()):
        return []
    for words in (UNSHARE, SETPRIV):
        if _works(words):
            return words
    raise StackError("Postgres runs neither as root nor as a user without a name: use another user")


def _works(words: list[str]) -> bool:
    try:
        return subprocess.run([*words, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def _has_name(uid: int) -> bool:
    try:
        return bool(pwd.getpwuid(uid))
    except KeyError:
        return False
