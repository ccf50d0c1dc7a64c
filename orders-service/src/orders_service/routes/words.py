"""What is said to people, in their language: `translations` has the catalogues, English is the code's own."""

from pathlib import Path

from flask import Flask, has_request_context, request
from flask_babel import Babel, gettext

LANGUAGES = ("en", "pt", "es")
_CATALOGUES = [Path(__file__).parent / place for place in ("translations", "page/translations")]


def speak(app: Flask) -> None:
    Babel(
        app,
        default_locale="en",
        default_translation_directories=";".join(map(str, _CATALOGUES)),
        locale_selector=language,
    )


def language() -> str:
    """Of those that there are, the one that is liked best."""
    if not has_request_context():
        return "en"
    if (wanted := request.args.get("lang")) in LANGUAGES:
        return wanted
    return request.accept_languages.best_match(LANGUAGES, default="en") or "en"


def said(text: str, **parts: object) -> str:
    """`text` is looked up as it is, so that texts of other modules can be said too."""
    return gettext(text, **parts) if text else ""
