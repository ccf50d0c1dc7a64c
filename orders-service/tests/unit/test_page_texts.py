"""What the page says, it says in each language."""

import gettext
import re
from pathlib import Path

import pytest
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from orders_service.routes import page
from orders_service.routes.i18n import LANGUAGES

FOLDER = Path(page.__file__).parent
CATALOGUES = sorted((FOLDER / "translations").glob("*/LC_MESSAGES/messages.po"))
LANGUAGE = [file.parts[-3] for file in CATALOGUES]


def said():
    template = (FOLDER / "page.html").read_text(encoding="utf-8")
    return set(re.findall(r"""_\((["'])(.*?)\1\)""", template))


def catalogue(file):
    with file.open("rb") as opened:
        return read_po(opened)


def test_there_are_catalogues_for_all_languages_but_the_codes_own():
    assert sorted(set(LANGUAGES) - {"en"}) == LANGUAGE


@pytest.mark.parametrize("file", CATALOGUES, ids=LANGUAGE)
def test_every_text_is_translated_with_the_same_parts_and_none_is_left_over(file):
    translated = {message.id: message.string for message in catalogue(file) if message.id}
    assert set(translated) == {text for _, text in said()}
    for text, translation in translated.items():
        assert translation, text
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", translation)), text


@pytest.mark.parametrize("file", CATALOGUES, ids=LANGUAGE)
def test_what_is_compiled_is_what_is_written(file, tmp_path):
    with (tmp_path / "messages.mo").open("wb") as target:
        write_mo(target, catalogue(file))
    fresh, kept = (texts_in(folder / "messages.mo") for folder in (tmp_path, file.parent))
    assert fresh == kept


def texts_in(compiled):
    with compiled.open("rb") as opened:
        texts = gettext.GNUTranslations(opened)._catalog
    return {text: translation for text, translation in texts.items() if text}


def test_every_text_that_a_script_says_is_there():
    template = (FOLDER / "page.html").read_text(encoding="utf-8")
    given = set(re.findall(r'^    "(\w+)": _\(', template, re.MULTILINE))
    scripts = "".join(file.read_text(encoding="utf-8") for file in FOLDER.glob("*.js"))
    wanted = set(re.findall(r"\btexts\.(\w+)", scripts)) | set(re.findall(r"\bsay\('(\w+)'", scripts))
    assert wanted <= given
