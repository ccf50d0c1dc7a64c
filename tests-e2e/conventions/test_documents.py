"""Documents refer to existing files and headings and are listed, and the Git hooks run every command of `make lint`."""

import re

import pytest

from quintet_e2e.checkout import CHECKOUT

DOCS = CHECKOUT / "docs"
DOCUMENTS = [
    *CHECKOUT.glob("*.md"),
    *CHECKOUT.glob("*/README.md"),
    *CHECKOUT.glob("gateway/*/README.md"),
    *DOCS.rglob("*.md"),
]
FENCED_CODE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)


def links_of(document):
    """Yield (file, anchor) of each link to a file of this checkout; the anchor may be empty."""
    text = FENCED_CODE.sub("", document.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", link):
            path, _, anchor = link.partition("#")
            yield (document.parent / path).resolve() if path else document, anchor


def anchors_of(document):
    """Return the anchors of the headings, formed as GitHub forms them."""
    headings = re.findall(r"^#+ (.*)$", FENCED_CODE.sub("", document.read_text(encoding="utf-8")), re.MULTILINE)
    plain = [re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings]
    return {heading.replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: str(file.relative_to(CHECKOUT)))
def test_every_link_leads_to_existing_file_and_heading(document):
    links = list(links_of(document))
    assert [str(file) for file, _ in links if not file.exists()] == []
    anchored = [(file, anchor) for file, anchor in links if anchor]
    assert [f"{file}#{anchor}" for file, anchor in anchored if anchor not in anchors_of(file)] == []


def test_table_of_contents_lists_every_document():
    listed = {file for file, _ in links_of(DOCS / "index.md")}
    assert {str(file) for file in {*DOCS.rglob("*.md")} - listed} == {str(DOCS / "index.md")}


def test_map_names_existing_files():
    text = (DOCS / "map.md").read_text(encoding="utf-8")
    paths = [code for code in re.findall(r"`([\w./-]+/[\w./-]*)`", text) if not code.startswith(("X-service", "/"))]
    assert len(paths) > 40
    assert [path for path in paths if not (CHECKOUT / path).exists()] == []


def test_hooks_run_every_command_of_lint():
    recipe = (CHECKOUT / "Makefile").read_text().partition("\nlint:")[2].partition("\n\n")[0]
    hooks = (CHECKOUT / ".pre-commit-config.yaml").read_text()
    commands = [
        line.replace("$(PY)", ".venv/bin/python").removesuffix(" .")
        for line in re.findall(r"^\t@(.*)$", recipe, re.MULTILINE)
    ]
    assert len(commands) >= 4
    assert [command for command in commands if f"entry: {command}\n" not in hooks] == []
