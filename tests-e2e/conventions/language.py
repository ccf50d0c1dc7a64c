"""Report phrases that are never right in this project's prose: `make lint` runs it over all tracked text files.

Existing migrations are exempt, because deployed databases hold their checksums.
"""

import re
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
SUFFIXES = {".py", ".md", ".toml", ".yml", ".yaml", ".conf", ".template", ".sh", ".sql", ".js", ".html", ".css"}
FILE_NAMES = {"Makefile", "Dockerfile"}
PATTERNS = {
    r"(?<!here )\bis no (?!longer\b|more than\b)": 'write "is not a" or "must be"',
    r"(?-i:(?<!here )\b(is|are) none\b)": 'write "does not exist" or "is null"',
    r"\bat the most\b": 'write "at most"',
    r"\btold\b": 'write "receives", "is notified" or "returns"',
    r"\bhis\b": 'write "its" or "the user\'s"',
    r"\bwhoever\b": 'write "a client that" or "anyone who"',
}
HEADLESS_DOCSTRING = re.compile(r'"""(Who|What) [^?]*?(\.|"""|\n\n)')


def problems_in(text: str) -> list[tuple[int, str, str]]:
    """Return the line number, the phrase and the advice for each wrong phrase."""
    problems = [
        (_line_of(text, match.start()), match.group().strip(), advice)
        for pattern, advice in PATTERNS.items()
        for match in re.finditer(pattern, text, re.IGNORECASE)
    ]
    problems += [
        (_line_of(text, match.start()), match.group(1), "begin the docstring with a verb or a noun")
        for match in HEADLESS_DOCSTRING.finditer(text)
    ]
    return sorted(problems)


def _line_of(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def checked_files() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    files = [CHECKOUT / name for name in listed.stdout.split("\0") if name]
    return [
        file
        for file in files
        if (file.suffix in SUFFIXES or file.name in FILE_NAMES)
        and file.exists()
        and "migrations" not in file.parts
        and file != Path(__file__).resolve()
        and file.name != "test_language.py"
    ]


def main() -> int:
    count = 0
    for file in checked_files():
        for line, phrase, advice in problems_in(file.read_text()):
            print(f'{file.relative_to(CHECKOUT)}:{line}: "{phrase}": {advice}')
            count += 1
    return min(count, 1)


if __name__ == "__main__":
    sys.exit(main())
