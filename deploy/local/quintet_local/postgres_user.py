"""The user that Postgres runs as, and the options of initdb; shared by stacks and tests."""

import os
import pwd
import subprocess

from quintet_local.progress import StackError

NOBODY = 65534
# In a separate user namespace, the process has this user ID, while its files on disk belong to the current user.
UNSHARE = ["unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}"]
# Changes the user, and grants a bypass of file permissions: only root may enter the folders of programs and data.
SETPRIV = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
           "--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--bounding-set=-all,+dac_override"]  # fmt: skip
ADMIN = "admin"
INITDB_OPTIONS = ["-U", ADMIN, "-E", "UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
          "--no-instructions"]  # fmt: skip


def command_prefix() -> list[str]:
    """Return the arguments before a Postgres command that change its user.

    Postgres does not run as root, and initdb does not run as a user without a name.
    """
    if os.getuid() != 0 and _has_name(os.getuid()):
        return []
    for prefix in (UNSHARE, SETPRIV):
        if _is_usable(prefix):
            return prefix
    raise StackError(
        "Postgres could not be started: run as a user that is in /etc/passwd and is not root, or allow user namespaces"
    )


def _is_usable(prefix: list[str]) -> bool:
    try:
        return subprocess.run([*prefix, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def _has_name(uid: int) -> bool:
    try:
        return bool(pwd.getpwuid(uid))
    except KeyError:
        return False
