"""`python deploy/compose up`: the stack in containers, on whatever Docker engine answers."""

from quintet_compose.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
