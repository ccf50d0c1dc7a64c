"""Commands for operators."""

import sys
from contextlib import closing

from chassis.db import Database
from chassis.runtime import logs
from factory_service.settings import Settings
from factory_service.store import rollups

log = logs.logger(__name__)

_POINTS_PER_STEP = 20_000


def rebuild_rollups(settings: Settings, arguments: list[str]) -> None:
    """Build the roll-ups of one factory or of all factories again, in steps, while other processes read and write.

    Until its roll-ups are complete, a factory is read from its points. If the command is interrupted, the worker's
    timer continues.
    """
    id_ = _factory_id(arguments)
    with closing(Database(settings.database_url, name="factory-rollups", size=1, wait_seconds=30)) as database:
        with database.transaction() as tx:
            count = rollups.insert_incomplete(tx, id_)
        if id_ and not count:
            sys.exit(f"factory {id_} does not exist")
        is_complete = False
        while not is_complete:
            with database.transaction() as tx:
                is_complete = rollups.build_next(tx, _POINTS_PER_STEP) is None
    log.info("rollups.rebuilt", factories=count)


def _factory_id(arguments: list[str]) -> int | None:
    match arguments:
        case []:
            return None
        case [text] if text.isascii() and text.isdigit() and 0 < int(text) < 2**63:
            return int(text)
        case _:
            sys.exit("rebuild-rollups accepts at most one argument, the ID of a factory")
