"""Fills in nginx.conf.template for a run without containers: `python render.py > nginx.conf`.

Values come from the environment, else from DEFAULTS; README.md says what each means.
"""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).resolve().parent
DEFAULTS = {
    "LOAD_MODULES": "",
    "USER_LINE": "",
    "RELOAD_LINE": "keepalive_min_timeout 5s;",
    "WORKERS": "2",
    "SHUTDOWN_TIMEOUT": "8s",
    "ERROR_LEVEL": "warn",
    "GATEWAY_DIR": str(HERE),
    "TLS_CONF": str(HERE / "conf" / "tls-off.conf"),
    "CLIENT_TIMEOUT": "15s",
    "RESOLVER": "127.0.0.11",
    "SEQUENCE_BACKEND": "sequence",
    "EVENT_BACKEND": "event",
    "ORDERS_BACKEND": "orders",
    "SPECSTORE_BACKEND": "specstore",
    "FACTORY_BACKEND": "factory",
    "VERDICT_TIME": "5s",
    "HASH_RATE": "20",
    "RATE_LIMITS": "on",
    "RATE_LIMIT_ADMIN": "500",
    "RATE_LIMIT_WRITER": "500",
    "RATE_LIMIT_READER": "500",
    "RATE_BURST": "1000",
}


def rendered(values: Mapping[str, str]) -> str:
    template = (HERE / "nginx.conf.template").read_text()
    known = DEFAULTS | dict(values)
    missing = sorted({name for name in re.findall(r"\$\{([A-Z_]+)\}", template) if name not in known})
    if missing:
        raise SystemExit(f"nginx.conf.template needs {', '.join(missing)}: set them in the environment")
    return re.sub(r"\$\{([A-Z_]+)\}", lambda found: known[found[1]], template)


if __name__ == "__main__":
    sys.stdout.write(rendered(os.environ))
