"""The command line: python -m factory_service web | worker | migrate | rebuild-rollups."""

from chassis.cli import Service, main
from factory_service.handlers import COMMANDS, HANDLERS, gauges, timers
from factory_service.settings import Settings

if __name__ == "__main__":
    main(
        Service(
            "factory",
            Settings,
            consumers=lambda _settings: HANDLERS,
            timers=timers,
            gauges=gauges,
            commands=COMMANDS,
        )
    )
