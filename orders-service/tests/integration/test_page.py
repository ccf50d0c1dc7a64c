"""The page as it is served; what it does is shown in a browser, by the journeys."""

import pytest

PAGE = "/acme_orders"


@pytest.mark.parametrize(
    ("accepts", "query", "language", "title"),
    [
        ("", "", "en", "Orders"),
        ("pt-BR,pt;q=0.9,en;q=0.8", "", "pt", "Pedidos"),
        ("es-MX", "", "es", "Pedidos"),
        ("de", "", "en", "Orders"),
        ("pt", "?lang=en", "en", "Orders"),
    ],
)
def test_it_is_served_in_the_language_asked_for(client, accepts, query, language, title):
    page = client.get(PAGE + query, headers={"Accept-Language": accepts})
    assert page.status_code == 200
    assert (page.headers["Content-Type"], page.headers["Content-Language"]) == ("text/html; charset=utf-8", language)
    assert f'<html lang="{language}">' in page.text and f"<h1>{title}</h1>" in page.text
    assert page.headers["Vary"] == "Accept-Language"


def test_a_slash_at_its_end_is_the_same_page(client):
    assert client.get(f"{PAGE}/").text == client.get(PAGE).text


def test_a_language_that_there_is_not_is_refused(client):
    refused = client.get(f"{PAGE}?lang=xx")
    assert (refused.status_code, list(refused.json["message"])) == (400, ["lang"])


def test_it_names_no_other_host_and_runs_nothing_inline(client):
    page = client.get(PAGE).text
    assert "http:" not in page and "https:" not in page and 'src="//' not in page
    assert " style=" not in page and " onclick=" not in page
    assert page.count("<script") == 2
    assert '<script type="application/json" id="texts">' in page


@pytest.mark.parametrize(
    ("file", "type_"), [("page.css", "text/css"), ("page.js", "text/javascript"), ("api.js", "text/javascript")]
)
def test_its_files_are_served_and_asked_for_again_only_if_changed(client, file, type_):
    first = client.get(f"{PAGE}/page/{file}")
    assert (first.status_code, first.headers["Content-Type"]) == (200, f"{type_}; charset=utf-8")
    again = client.get(f"{PAGE}/page/{file}", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize("file", ["page.html", "__init__.py", "..%2fwords.py", "%2e%2e", "nothing"])
def test_nothing_else_is_served(client, file):
    assert client.get(f"{PAGE}/page/{file}").status_code in (400, 404)
