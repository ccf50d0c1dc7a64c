"""The page as served; the journeys test its behavior in a browser."""

import pytest

PAGE = "/acme_orders"


@pytest.mark.parametrize(
    ("accept_language", "query", "language", "title"),
    [
        ("", "", "en", "Orders"),
        ("pt-BR,pt;q=0.9,en;q=0.8", "", "pt", "Pedidos"),
        ("es-MX", "", "es", "Pedidos"),
        ("de", "", "en", "Orders"),
        ("pt", "?lang=en", "en", "Orders"),
    ],
)
def test_page_is_served_in_the_preferred_language(client, accept_language, query, language, title):
    page = client.get(PAGE + query, headers={"Accept-Language": accept_language})
    assert page.status_code == 200
    assert (page.headers["Content-Type"], page.headers["Content-Language"]) == ("text/html; charset=utf-8", language)
    assert f'<html lang="{language}">' in page.text and f"<h1>{title}</h1>" in page.text
    assert page.headers["Vary"] == "Accept-Language"


def test_trailing_slash_serves_the_same_page(client):
    assert client.get(f"{PAGE}/").text == client.get(PAGE).text


def test_unknown_language_is_rejected(client):
    response = client.get(f"{PAGE}?lang=xx")
    assert (response.status_code, list(response.json["message"])) == (400, ["lang"])


def test_page_refers_to_no_other_host_and_has_no_inline_code(client):
    page = client.get(PAGE).text
    assert "http:" not in page and "https:" not in page and 'src="//' not in page
    assert " style=" not in page and " onclick=" not in page
    assert page.count("<script") == 2
    assert '<script type="application/json" id="texts">' in page


@pytest.mark.parametrize(
    ("file", "type_"), [("page.css", "text/css"), ("page.js", "text/javascript"), ("api.js", "text/javascript")]
)
def test_files_are_served_and_revalidated_by_etag(client, file, type_):
    first = client.get(f"{PAGE}/page/{file}")
    assert (first.status_code, first.headers["Content-Type"]) == (200, f"{type_}; charset=utf-8")
    revalidated = client.get(f"{PAGE}/page/{file}", headers={"If-None-Match": first.headers["ETag"]})
    assert (revalidated.status_code, revalidated.data) == (304, b"")


@pytest.mark.parametrize("file", ["page.html", "__init__.py", "..%2fmessages.py", "%2e%2e", "unknown"])
def test_other_files_are_not_served(client, file):
    assert client.get(f"{PAGE}/page/{file}").status_code in (400, 404)
