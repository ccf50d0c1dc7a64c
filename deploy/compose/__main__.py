"""`python deploy/compose up`: the stack in containers, on whatever Docker engine answers."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "local"))

from quintet_compose.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
