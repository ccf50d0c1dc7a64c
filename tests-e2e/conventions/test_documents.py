"""What the documents point to is there."""

import re

import pytest

from quintet_e2e.checkout import CHECKOUT

DOCUMENTS = [
    *CHECKOUT.glob("*.md"),
    *CHECKOUT.glob("*/README.md"),
    *(CHECKOUT / "docs").rglob("*.md"),
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: str(file.relative_to(CHECKOUT)))
def test_every_link_leads_somewhere(document):
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
    places = [link for link in links if not re.match(r"[a-z]+://", link)]
    assert [place for place in places if not (document.parent / place).exists()] == []


def test_the_map_names_files_that_are_there():
    text = (CHECKOUT / "docs" / "map.md").read_text(encoding="utf-8")
    named = [code for code in re.findall(r"`([\w./-]+/[\w./-]+\.\w+)`", text) if not code.startswith("X-service")]
    assert named
    assert [name for name in named if not (CHECKOUT / name).exists()] == []
