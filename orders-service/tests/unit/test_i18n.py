"""Every message for people is translated into each language."""

import ast
import gettext
import re
from pathlib import Path

import pytest
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from orders_service import routes
from orders_service.domain.rules import REASON_MESSAGES, RULES
from orders_service.routes.messages import FAILURE_MESSAGES, PLURAL_FAILURE_MESSAGES

SOURCE = Path(routes.__file__).parents[1]
CATALOGS = sorted((SOURCE / "routes" / "translations").glob("*/LC_MESSAGES/messages.po"))
# Functions and exceptions whose text arguments are translated.
TRANSLATING = {"translate", "ValueError", "Problem", "Invalid", "NotFound", "Conflict", "Unavailable", "field"}
FIELDS_BY_MESSAGE = {
    "must be a number": ("limit", "offset", "after"),
    "must be a bool value": ("valid", "total", "dry_run"),
    "must have 1 to 200 characters": ("name", "email", "zipcode"),
}


def literals():
    for file in SOURCE.rglob("*.py"):
        # Messages for operators are not translated.
        if file.name == "settings.py":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            name = getattr(getattr(node, "func", None), "id", getattr(getattr(node, "func", None), "attr", ""))
            if isinstance(node, ast.Call) and name in TRANSLATING:
                texts = node.args[1:] if name == "field" else node.args[:1]
                yield from (text.value for text in texts if isinstance(text, ast.Constant))


def source_texts():
    texts = {rule.message for rule in RULES} | set(REASON_MESSAGES.values()) | set(literals())
    texts |= set(FAILURE_MESSAGES.values()) | set(PLURAL_FAILURE_MESSAGES.values())
    texts |= {f"{field} {rest}" for rest, fields in FIELDS_BY_MESSAGE.items() for field in fields}
    return {text for text in texts if isinstance(text, str)}


@pytest.mark.parametrize("file", CATALOGS, ids=lambda file: file.parts[-3])
def test_every_text_is_translated_with_the_same_parameters(file):
    with file.open("rb") as opened:
        catalog = read_po(opened)
    translated = {message.id: message.string for message in catalog if message.id}
    assert source_texts() - set(translated) == set()
    for text, translation in translated.items():
        assert translation, text
        assert sorted(re.findall(r"%\(\w+\)s", text)) == sorted(re.findall(r"%\(\w+\)s", translation)), text


def texts_in(compiled):
    with compiled.open("rb") as opened:
        texts = gettext.GNUTranslations(opened)._catalog
    # The header entry contains a date.
    return {text: translation for text, translation in texts.items() if text}


@pytest.mark.parametrize("file", CATALOGS, ids=lambda file: file.parts[-3])
def test_compiled_catalog_is_up_to_date(file, tmp_path):
    with file.open("rb") as opened, (tmp_path / "messages.mo").open("wb") as target:
        write_mo(target, read_po(opened))
    compiled, committed = (texts_in(folder / "messages.mo") for folder in (tmp_path, file.parent))
    assert compiled == committed


def test_every_language_except_english_has_a_catalog():
    from orders_service.routes.i18n import LANGUAGES

    assert [file.parts[-3] for file in CATALOGS] == sorted(set(LANGUAGES) - {"en"})
