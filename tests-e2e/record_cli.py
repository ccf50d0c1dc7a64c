"""Records docs/cli.md: runs its commands on a new stack with realistic data, and replaces the output in it."""

import tempfile
from pathlib import Path

from quintet_e2e import demo_data
from quintet_e2e.recordings import Recorder, record
from quintet_e2e.stacks import CHECKOUT, local_stack

DOCUMENT = CHECKOUT / "docs" / "cli.md"


def main() -> None:
    with local_stack() as stack, tempfile.TemporaryDirectory() as folder:
        demo_data.fill(stack)
        DOCUMENT.write_text(record(DOCUMENT, Recorder(stack, Path(folder))), encoding="utf-8")


if __name__ == "__main__":
    main()
