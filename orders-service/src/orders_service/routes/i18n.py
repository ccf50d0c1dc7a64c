"""Texts for people in their language: `translations` has the catalogs, English is the code's own."""

from pathlib import Path

from flask import Flask, has_request_context, request
from flask_babel import Babel, gettext

LANGUAGES = ("en", "pt", "es")
_CATALOGS = [Path(__file__).parent / place for place in ("translations", "page/translations")]


def init_babel(app: Flask) -> None:
    Babel(
        app,
        default_locale="en",
        default_translation_directories=";".join(map(str, _CATALOGS)),
        locale_selector=language,
    )


def language() -> str:
    """Return the supported language that the client prefers."""
    if not has_request_context():
        return "en"
    if (requested := request.args.get("lang")) in LANGUAGES:
        return requested
    return request.accept_languages.best_match(LANGUAGES, default="en") or "en"


def translate(text: str, **parts: object) -> str:
    """Translate a text as it is, so that texts of other modules can be translated too."""
    return gettext(text, **parts) if text else ""
