"""Entry point of `python deploy/local`, which runs the stack on this machine without containers."""

from quintet_local.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
