"""The command line: python -m factory_service web | worker | migrate | rebuild-rollups."""

from chassis.cli import Service, main
from factory_service.handlers import HANDLERS, timers
from factory_service.maintenance import rebuild_rollups
from factory_service.settings import Settings

if __name__ == "__main__":
    commands = {"rebuild-rollups": rebuild_rollups}
    main(Service("factory", Settings, consumers=lambda _settings: HANDLERS, timers=timers, commands=commands))
