"""Web processes inherit the imported modules from their parent process, so importing an app has no side effects."""

import subprocess
import sys

# gunicorn patches its process in the same way before it imports the app.
SCRIPT = """
import os, sys, threading
from gevent import get_hub, monkey

def state():
    counts = [len(os.listdir(f"/proc/self/{name}")) for name in ("fd", "task")]
    return counts, threading.enumerate(), get_hub().threadpool.size

monkey.patch_all(os=False, signal=False)
state()
before = state()
__import__(sys.argv[1])
after = state()
assert after == before, (before, after)
"""


def test_importing_an_app_starts_no_thread_and_opens_no_file_or_connection(service):
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, f"{service.package}.app"], stderr=subprocess.PIPE, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
