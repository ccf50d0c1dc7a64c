"""The command line: python -m sequence_service web | worker | migrate."""

from chassis.cli import Service, main
from sequence_service.settings import Settings

if __name__ == "__main__":
    main(Service("sequence", Settings))
