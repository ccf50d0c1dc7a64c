"""Everything that is said to people is said in each language."""

import ast
import gettext
import re
from pathlib import Path

import pytest
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from orders_service import routes
from orders_service.domain.rules import REJECTIONS, RULES

SOURCE = Path(routes.__file__).parents[1]
CATALOGUES = sorted((SOURCE / "routes" / "translations").glob("*/LC_MESSAGES/messages.po"))
# Their arguments are said, or are the detail of a problem that is.
SAYING = {"translate", "ValueError", "Problem", "Invalid", "NotFound", "Conflict", "Unavailable", "field"}
FIELDS_WITH = {
    "must be a number": ("limit", "offset", "after"),
    "must be a bool value": ("valid", "total", "dry_run"),
    "must have 1 to 200 characters": ("name", "email", "zipcode"),
}


def literals():
    for file in SOURCE.rglob("*.py"):
        # What an operator reads when it does not start.
        if file.name == "settings.py":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            name = getattr(getattr(node, "func", None), "id", getattr(getattr(node, "func", None), "attr", ""))
            if isinstance(node, ast.Call) and name in SAYING:
                texts = node.args[1:] if name == "field" else node.args[:1]
                yield from (text.value for text in texts if isinstance(text, ast.Constant))


def said():
    texts = {rule.message for rule in RULES} | set(REJECTIONS.values()) | set(literals())
    texts |= {f"{field} {rest}" for rest, fields in FIELDS_WITH.items() for field in fields}
    return {text for text in texts if isinstance(text, str)}


@pytest.mark.parametrize("file", CATALOGUES, ids=lambda file: file.parts[-3])
def test_every_text_is_translated_with_the_same_parts(file):
    with file.open("rb") as opened:
        catalogue = read_po(opened)
    translated = {message.id: message.string for message in catalogue if message.id}
    assert said() - set(translated) == set()
    for text, translation in translated.items():
        assert translation, text
        assert sorted(re.findall(r"%\(\w+\)s", text)) == sorted(re.findall(r"%\(\w+\)s", translation)), text


def texts_in(compiled):
    with compiled.open("rb") as opened:
        texts = gettext.GNUTranslations(opened)._catalog
    # Without the heading, which has a date.
    return {text: translation for text, translation in texts.items() if text}


@pytest.mark.parametrize("file", CATALOGUES, ids=lambda file: file.parts[-3])
def test_what_is_compiled_is_what_is_written(file, tmp_path):
    with file.open("rb") as opened, (tmp_path / "messages.mo").open("wb") as target:
        write_mo(target, read_po(opened))
    fresh, kept = (texts_in(folder / "messages.mo") for folder in (tmp_path, file.parent))
    assert fresh == kept


def test_there_are_catalogues_for_all_languages_but_the_codes_own():
    from orders_service.routes.i18n import LANGUAGES

    assert [file.parts[-3] for file in CATALOGUES] == sorted(set(LANGUAGES) - {"en"})
