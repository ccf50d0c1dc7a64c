"""Metadata of a package and its resources is published, and properties that describe its files are replaced."""

import pytest

from chassis.errors import Invalid
from specstore_service.domain.metadata import package_properties
from specstore_service.domain.sources import sources_of
from specstore_service.domain.specs import Spec
from specstore_service.operations.uploads import parse_spec

DESCRIPTOR = "inputs.0.parameters.descriptor"
METADATA = {
    "title": "Wines",
    "description": "All *wines*",
    "homepage": "https://example.org/wines",
    "licenses": [{"name": "ODC-PDDL-1.0", "path": "https://example.org/license", "title": "PDDL", "x": 1}],
    "sources": [{"title": "A list", "path": "https://example.org", "email": "ann@example.org", "version": "2"}],
    "contributors": [{"title": "Ann", "roles": ["author"], "givenName": "Ann", "role": "author"}],
    "custom": {"Nested": [1, 0.5, None]},
    "snake_case": True,
}
PACKAGE = {
    **METADATA,
    "id": "b03ec84-77fd",
    "version": "1.2.0",
    "keywords": ["wine", "red"],
    "image": "bottle.png",
    "created": "2020-01-02T03:04:05Z",
}
FILE = {
    "path": "reds.csv",
    "format": "csv",
    "mediatype": "text/csv",
    "encoding": "cp1252",
    "dialect": {"delimiter": ";"},
    "compression": "gz",
    "bytes": 5,
    "hash": "sha256:x",
    "rows": 3,
    "profile": "tabular-data-resource",
    "schema": {"fields": [{"name": "a"}]},
}


@pytest.fixture
def spec_of(a_spec):
    def spec_of(package=None, **resource):
        spec = a_spec(resources=[{"name": "reds", **resource}])
        spec["inputs"][0]["parameters"]["descriptor"].update(package or {})
        return spec

    return spec_of


def test_metadata_of_the_package_is_kept(spec_of):
    replaced = {"$schema": "x", "profile": "data-package", "name": "x", "bytes": 1, "count_of_rows": 2, "hash": "x"}
    spec = Spec.model_validate(spec_of({**PACKAGE, **replaced}, path="a.csv"), strict=True)
    assert package_properties(spec.inputs[0].parameters.descriptor) == PACKAGE


def test_metadata_of_a_resource_is_kept_without_the_properties_of_its_file(spec_of):
    (source,) = sources_of(Spec.model_validate(spec_of(**METADATA, **FILE), strict=True))
    assert source.properties == METADATA
    assert source.file_properties == {name: FILE[name] for name in ("mediatype", "encoding", "dialect")}


def test_null_in_a_dialect_is_published_as_an_omitted_property(spec_of):
    dialect = {"delimiter": ";", "header": None, "commentChar": None, "quoteChar": None, "csv": {"quoteChar": None}}
    (source,) = sources_of(Spec.model_validate(spec_of(path="a.csv", dialect=dialect), strict=True))
    published = {"delimiter": ";", "quoteChar": "", "csv": {"quoteChar": ""}}
    assert source.file_properties == {"dialect": published}


def test_unknown_property_with_the_name_of_another_object_s_property_is_kept(spec_of):
    package = {"path": "/wines", "data": [1], "dialect": "a", "table": "t"}
    spec = Spec.model_validate(spec_of(package, path="a.csv", table="t", resources=[1]), strict=True)
    assert package_properties(spec.inputs[0].parameters.descriptor) == package
    assert sources_of(spec)[0].properties == {"table": "t", "resources": [1]}


def test_name_of_an_origin_that_is_not_valid_is_ignored(spec_of):
    spec = spec_of(path="a.csv", specstore={"kind": "derived/csv", "resource": "whites\n"})
    assert sources_of(Spec.model_validate(spec, strict=True))[0].name == "reds"


def test_resource_that_a_step_creates_has_the_metadata_of_its_input(spec_of):
    spec = spec_of(path="a.csv", title="All")
    spec["processing"] = [{"input": "reds", "output": "first"}]
    assert [source.properties for source in sources_of(Spec.model_validate(spec, strict=True))] == [
        {"title": "All"}
    ] * 2


@pytest.mark.parametrize(
    ("properties", "field"),
    [
        ({"title": 1}, "title"),
        ({"description": None}, "description"),
        ({"version": 1.0}, "version"),
        ({"keywords": "wine"}, "keywords"),
        ({"keywords": [1]}, "keywords.0"),
        ({"licenses": "MIT"}, "licenses"),
        ({"licenses": [{"title": "MIT"}]}, "licenses.0"),
        ({"sources": [{"email": "nobody"}]}, "sources.0.email"),
        ({"contributors": ["Ann"]}, "contributors.0"),
        ({"created": "2020-01-02"}, "created"),
        ({"created": "2020-13-02T03:04:05Z"}, "created"),
    ],
)
def test_metadata_that_would_make_the_descriptor_invalid_is_rejected(spec_of, properties, field):
    with pytest.raises(Invalid) as caught:
        parse_spec(spec_of(properties, path="a.csv"))
    ((name, message),) = caught.value.errors
    assert name == f"{DESCRIPTOR}.{field}" and message.startswith("must ")
    if field.partition(".")[0] not in ("version", "keywords", "created"):
        with pytest.raises(Invalid) as caught:
            parse_spec(spec_of(path="a.csv", **properties))
        assert [name for name, _ in caught.value.errors] == [f"{DESCRIPTOR}.resources.0.{field}"]
