"""Translation of texts for people: the catalogs are in `translations`, the texts in the code are English."""

from pathlib import Path

from flask import Flask, has_request_context, request
from flask_babel import Babel, gettext

LANGUAGES = ("en", "pt", "es")
_CATALOG_FOLDERS = [Path(__file__).parent / folder for folder in ("translations", "page/translations")]


def init_babel(app: Flask) -> None:
    Babel(
        app,
        default_locale="en",
        default_translation_directories=";".join(map(str, _CATALOG_FOLDERS)),
        locale_selector=language,
    )


def language() -> str:
    """Return the supported language that the client prefers."""
    if not has_request_context():
        return "en"
    if (requested := request.args.get("lang")) in LANGUAGES:
        return requested
    return request.accept_languages.best_match(LANGUAGES, default="en") or "en"


def translate(text: str, /, **parameters: object) -> str:
    """Translate a text and fill in its parameters; a text without a translation is returned in English."""
    return gettext(text, **parameters) if text else ""
