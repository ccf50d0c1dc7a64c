"""Every text of the page is translated into each language."""

import gettext
import re
from pathlib import Path

import pytest
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from orders_service.routes import page
from orders_service.routes.i18n import LANGUAGES

FOLDER = Path(page.__file__).parent
CATALOGS = sorted((FOLDER / "translations").glob("*/LC_MESSAGES/messages.po"))
CATALOG_LANGUAGES = [file.parts[-3] for file in CATALOGS]


def page_texts():
    template = (FOLDER / "page.html").read_text(encoding="utf-8")
    return set(re.findall(r"""_\((["'])(.*?)\1\)""", template))


def catalog(file):
    with file.open("rb") as opened:
        return read_po(opened)


def test_every_language_except_english_has_a_catalog():
    assert sorted(set(LANGUAGES) - {"en"}) == CATALOG_LANGUAGES


@pytest.mark.parametrize("file", CATALOGS, ids=CATALOG_LANGUAGES)
def test_catalog_has_exactly_the_texts_of_the_page_with_the_same_parameters(file):
    translated = {message.id: message.string for message in catalog(file) if message.id}
    assert set(translated) == {text for _, text in page_texts()}
    for text, translation in translated.items():
        assert translation, text
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", translation)), text


@pytest.mark.parametrize("file", CATALOGS, ids=CATALOG_LANGUAGES)
def test_compiled_catalog_is_up_to_date(file, tmp_path):
    with (tmp_path / "messages.mo").open("wb") as target:
        write_mo(target, catalog(file))
    compiled, committed = (texts_in(folder / "messages.mo") for folder in (tmp_path, file.parent))
    assert compiled == committed


def texts_in(compiled):
    with compiled.open("rb") as opened:
        texts = gettext.GNUTranslations(opened)._catalog
    return {text: translation for text, translation in texts.items() if text}


def test_page_defines_every_text_that_a_script_uses():
    template = (FOLDER / "page.html").read_text(encoding="utf-8")
    defined = set(re.findall(r'^    "(\w+)": _\(', template, re.MULTILINE))
    scripts = "".join(file.read_text(encoding="utf-8") for file in FOLDER.glob("*.js"))
    used = set(re.findall(r"\btexts\.(\w+)", scripts)) | set(re.findall(r"\bformatText\('(\w+)'", scripts))
    assert used <= defined
