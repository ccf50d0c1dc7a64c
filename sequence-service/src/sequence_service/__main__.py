"""The command line: python -m sequence_service web | worker | migrate | skip."""

import sys
from datetime import UTC, datetime

from chassis.cli import Service, main
from chassis.db import Database
from chassis.messaging.worker_metrics import StateGauge
from sequence_service.operations.sequences import skip_in_all
from sequence_service.settings import Settings
from sequence_service.store.sequences import list_remaining_ratios


def skip(settings: Settings, arguments: list[str]) -> None:
    """Skip numbers of every sequence, as `make restore` does; the argument is their number."""
    if len(arguments) != 1 or not arguments[0].isdecimal():
        sys.exit("usage: python -m sequence_service skip <count>")
    database = Database(settings.database_url, name="sequence-skip", size=1, wait_seconds=30)
    with database.transaction() as tx:
        count = skip_in_all(tx, int(arguments[0]), datetime.now(UTC))
    print(f"{arguments[0]} numbers skipped in each of {count} sequences")


if __name__ == "__main__":
    remaining = StateGauge(
        "sequence_remaining_ratio",
        "Share of the numbers that are left, of the sequences that end first",
        list_remaining_ratios,
        "sequence",
    )
    main(Service("sequence", Settings, gauges=lambda _settings: [remaining], commands={"skip": skip}))
