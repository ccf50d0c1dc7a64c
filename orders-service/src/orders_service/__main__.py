"""Command line: python -m orders_service web | worker | migrate."""

from chassis.cli import Service, main
from orders_service.handlers import HANDLERS, timers
from orders_service.operations.import_metrics import ImportMetrics
from orders_service.settings import Settings

if __name__ == "__main__":
    main(Service("orders", Settings, consumers=lambda _settings: HANDLERS, timers=timers, metrics=ImportMetrics))
