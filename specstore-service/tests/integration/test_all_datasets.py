"""The list of the datasets of all owners."""

import pytest


@pytest.fixture
def ids(client):
    """Return a function that returns the IDs and the total of a list."""

    def ids(query="", token=""):
        page = client.get(f"/source?{query}", headers={"Auth-Token": token} if token else {}).json
        return [dataset["id"] for dataset in page["datasets"]], page["total"]

    return ids


@pytest.fixture
def upload(client, a_token, a_spec):
    def upload(owner, dataset, **spec):
        body = a_spec(owner=owner, dataset=dataset, **spec)
        response = client.post("/source/upload", json=body, headers={"Auth-Token": a_token(owner)})
        assert response.status_code == 200

    return upload


def test_list_is_empty_without_datasets(client, db):
    assert client.get("/source").json == {"datasets": [], "total": 0}


def test_pages_are_ordered_by_owner_and_name_and_continue_after_an_id(ids, upload):
    for owner, dataset in (("ben", "a"), ("ann", "wines"), ("ann", "beers"), ("ann.b", "a")):
        upload(owner, dataset)
    everything, total = ids()
    assert (sorted(everything), total) == (["ann.b/a", "ann/beers", "ann/wines", "ben/a"], 4)
    pages = [ids(f"limit=1&after={after}" if after else "limit=1") for after in ["", *everything]]
    assert pages == [([dataset], 4) for dataset in everything] + [([], 4)]


def test_hidden_datasets_are_listed_for_their_owner_only(ids, upload, a_token):
    for findability in ("published", "unlisted", "private"):
        upload("ann", findability, findability=findability)
    assert ids() == ids(token=a_token("ben")) == ids(token="invalid") == (["ann/published"], 1)
    assert ids(token=a_token("ann")) == (["ann/private", "ann/published", "ann/unlisted"], 3)


def test_newest_visible_revision_is_shown(client, upload, a_token):
    upload("ann", "wines", schedule="every 1d")
    upload("ann", "wines")
    (dataset,) = client.get("/source").json["datasets"]
    assert (dataset["revision"], dataset["state"], dataset["every_seconds"]) == (2, "QUEUED", None)


@pytest.mark.parametrize("query", ["after=ann", "after=ann/", "after=a/b/c", "limit=0", "limit=1001", "unknown=1"])
def test_invalid_parameter_is_named(client, db, query):
    response = client.get(f"/source?{query}")
    assert response.status_code == 400
    assert response.json["errors"][0]["field"] == query.partition("=")[0]
