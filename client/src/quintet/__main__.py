"""`python -m quintet` is the command line."""

from quintet.cli import main

if __name__ == "__main__":
    main()
