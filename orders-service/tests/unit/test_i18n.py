"""Every message for people is translated into each language."""

import ast
import gettext
import re
from pathlib import Path

import pytest
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

import chassis
from chassis.web import errors, input_errors, uploads
from orders_service import routes
from orders_service.domain.rules import NO_STATE_MESSAGE, REASON_MESSAGES, RULES
from orders_service.routes.messages import FAILURE_MESSAGES, HINT_MESSAGES, PLURAL_FAILURE_MESSAGES

SOURCE = Path(routes.__file__).parents[1]
CATALOGS = sorted((SOURCE / "routes" / "translations").glob("*/LC_MESSAGES/messages.po"))
# Functions and exceptions with a text that is translated, and the index of this argument.
TEXT_ARGUMENTS = {
    **dict.fromkeys(("translate", "ValueError", "Problem", "Invalid", "NotFound", "Conflict", "Busy"), 0),
    **dict.fromkeys(("Unavailable", "OutcomeUnknown"), 0),
    "field": 1,
    "integer_between": 3,
}
FIELDS_BY_MESSAGE = {
    "must be a number": ("limit", "offset", "after"),
    "must be a bool value": ("valid", "total", "dry_run"),
    "must have 1 to 200 characters": ("name", "email", "zipcode"),
}


# Texts of the chassis that no request to this service can cause: it has no JSON bodies, URL-encoded forms, header
# models, required parameters or GETs that change something, and validates its parameters itself.
UNREACHABLE = {
    errors._REPEAT,
    "Content-Type must be {content_type}, in UTF-8",
    "Content-Encoding is not supported: send the body uncompressed",
    "must be an integer in plain digits",
    "must not contain control characters",
    "must not be blank",
    "must be valid UTF-8",
    "is required",
    "must be an object",
    # The gateway does not pass requests to these routes on; the console uses them for admins.
    "this requires the role admin",
    "{queue}: unknown queue",
    "{queue}: no dead letter has the ID {message_id}",
    "no worker is connected to RabbitMQ",
    "{outcome['error']}; some dead letters may have been moved: list them",
    # An error of the code: no document is generated.
    "two {part} are named {name}",
}
KEY_ALREADY_USED = "this Idempotency-Key was already used for a different method, path or body"
# Texts of the chassis that this service does not return as they are: it returns the messages of the fields instead, or
# another text.
REPLACED = {
    "this path does not exist",
    "the connection to the database was lost during a change",
    # The hint is empty, because this service has no `idempotent_headers`.
    f"{KEY_ALREADY_USED}{{header_hint}}",
}


def literals(folder):
    """Yield the texts that are translated, with the names of embedded values in braces."""
    for file in folder.rglob("*.py"):
        # Messages for operators are not translated.
        if file.name == "settings.py":
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            name = getattr(getattr(node, "func", None), "id", getattr(getattr(node, "func", None), "attr", ""))
            if isinstance(node, ast.Call) and name in TEXT_ARGUMENTS:
                index = TEXT_ARGUMENTS[name]
                for text in node.args[index : index + 1]:
                    yield from texts_of(text, module_constants(tree))


def module_constants(tree):
    return {
        node.targets[0].id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
    }


def texts_of(node, constants):
    if isinstance(node, ast.Constant):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        # The fields of `f"{field} must be …"` are listed above.
        yield "".join(
            part.value if isinstance(part, ast.Constant) else f"{{{ast.unparse(part.value)}}}" for part in node.values
        )
    elif isinstance(node, ast.Name) and node.id in constants:
        yield constants[node.id]


def chassis_texts():
    """Return the texts of the chassis that a request to this service can cause."""
    root = Path(chassis.__file__).parent
    texts = set(literals(root / "web")) | set(literals(root / "db"))
    # These are passed to the exceptions in variables.
    texts |= {*errors._DETAILS.values(), *input_errors._INPUT_MESSAGES.values(), uploads.TOO_SLOW, uploads.TOO_LONG}
    assert texts >= UNREACHABLE | REPLACED
    return texts - UNREACHABLE - REPLACED


def source_texts():
    texts = {rule.message for rule in RULES} | set(REASON_MESSAGES.values())
    texts |= {*FAILURE_MESSAGES.values(), *PLURAL_FAILURE_MESSAGES.values(), *HINT_MESSAGES.values(), NO_STATE_MESSAGE}
    for text in literals(SOURCE):
        fields = FIELDS_BY_MESSAGE.get(text.removeprefix("{field} "))
        texts |= {f"{field} {text.removeprefix('{field} ')}" for field in fields} if fields else {text}
    return texts


@pytest.mark.parametrize("file", CATALOGS, ids=lambda file: file.parts[-3])
def test_catalog_has_exactly_the_texts_of_the_code_with_the_same_parameters(file):
    with file.open("rb") as opened:
        catalog = read_po(opened)
    translated = {message.id: message.string for message in catalog if message.id}
    assert set(translated) == source_texts() | chassis_texts() | {KEY_ALREADY_USED}
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
