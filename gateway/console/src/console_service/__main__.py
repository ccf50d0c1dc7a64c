"""Entry point of `python -m console_service web`."""

from chassis.cli import Service, main
from console_service.settings import Settings

if __name__ == "__main__":
    main(Service("console", Settings))
