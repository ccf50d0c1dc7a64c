"""Entry point of `python deploy/compose`, which runs the stack in containers."""

from quintet_compose.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
