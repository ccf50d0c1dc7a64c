"""The command line: python -m event_service web | worker | migrate."""

from chassis.cli import Service, main
from event_service.handlers import TIMERS, handlers_for
from event_service.settings import Settings

if __name__ == "__main__":
    main(Service("event", Settings, consumers=handlers_for, timers=lambda _settings: TIMERS))
