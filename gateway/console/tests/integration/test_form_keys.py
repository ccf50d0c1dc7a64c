"""The Idempotency-Keys of forms: a form that is sent again after a lost response acts once."""

import re

import pytest

WRITER = {"X_Authenticated_User": "ann", "X_Authenticated_Role": "writer"}
SEQUENCE = {
    "name": "invoices", "minimum": 1, "maximum": 9, "remaining": 9, "next": 1, "format": "{}", "cycle": False,
    "cycles": 0, "audit": False, "reset": None, "period": None, "timezone": "UTC",
}  # fmt: skip


@pytest.fixture
def sequences(services):
    """Let the service respond to a change with `answer`, which tests set."""
    service = services["sequence"]
    service.answer = (200, {"formatted": ["1"]})

    def respond(request):
        request.send_json(*((200, SEQUENCE) if request.command == "GET" else service.answer))

    service.respond = respond
    return service


def keys(text):
    """Return the key of each form by its action."""
    return dict(re.findall(r'name="action" value="([\w-]+)">\s*<input type="hidden" name="key" value="(\S+)">', text))


def send(get):
    form = {"action": "issue", "n": "1", "key": "k-1"}
    return keys(get("/console/sequences/invoices", "POST", form=form, **WRITER).text)


@pytest.mark.parametrize("status", [400, 409, 503])
def test_failed_form_keeps_its_key_and_other_forms_have_other_ones(get, sequences, status):
    sequences.answer = (status, {"detail": "failed"})
    found = send(get)
    assert found["issue"] == "k-1"
    assert {*found} == {"issue", "next", "maximum", "delete"} and len({*found.values()}) == 4


@pytest.mark.parametrize("answer", [(200, {"formatted": ["1"]}), (422, {"detail": "the key was used"})])
def test_key_that_was_used_is_replaced(get, sequences, answer):
    sequences.answer = answer
    assert send(get)["issue"] not in ("", "k-1")
