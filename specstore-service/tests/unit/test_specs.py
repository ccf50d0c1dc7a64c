import pytest

from chassis.errors import Invalid
from specstore_service.operations.uploads import parse_spec

RESOURCES = "inputs.0.parameters.descriptor.resources"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda spec: spec.update(meta=None), "meta"),
        (lambda spec: spec["meta"].update(owner=1), "meta.owner"),
        (lambda spec: spec["meta"].update(owner="a\nb"), "meta.owner"),
        (lambda spec: spec["meta"].update(owner="  "), "meta.owner"),
        (lambda spec: spec["meta"].update(ownerid="upload"), "meta.ownerid"),
        (lambda spec: spec["meta"].update(ownerid=["ann"]), "meta.ownerid"),
        (lambda spec: spec["meta"].update(dataset="files"), "meta.dataset"),
        (lambda spec: spec["meta"].update(dataset="a/b"), "meta.dataset"),
        (lambda spec: spec["meta"].pop("dataset"), "meta.dataset"),
        (lambda spec: spec["meta"].update(version=2), "meta.version"),
        (lambda spec: spec["meta"].update(version=True), "meta.version"),
        (lambda spec: spec["meta"].update(findability="secret"), "meta.findability"),
        (lambda spec: spec.update(inputs=[]), "inputs"),
        (lambda spec: spec.update(inputs=spec["inputs"] * 2), "inputs"),
        (lambda spec: spec["inputs"][0].update(kind="sql"), "inputs.0.kind"),
        (lambda spec: spec["inputs"][0].update(url="file:///etc/passwd"), "inputs.0.url"),
        (lambda spec: spec["inputs"][0]["parameters"].pop("descriptor"), "inputs.0.parameters.descriptor"),
        (
            lambda spec: spec["inputs"][0]["parameters"].update({"resource-mapping": {"reds": "gopher://x"}}),
            "inputs.0.parameters.resource-mapping.reds",
        ),
        (lambda spec: spec.update(processing={}), "processing"),
        (lambda spec: spec.update(processing=[{"input": "reds"}]), "processing.0.output"),
        (
            lambda spec: spec.update(processing=[{"input": "reds", "output": "x", "tabulator": {"headers": 0}}]),
            "processing.0.tabulator.headers",
        ),
        (lambda spec: spec.update(outputs=[{"kind": "sqlite"}]), "outputs.0.kind"),
        (
            lambda spec: spec.update(outputs=[{"kind": "zip", "parameters": {"out-file": "../x.zip"}}]),
            "outputs.0.parameters.out-file",
        ),
    ],
)
def test_invalid_field_is_named(a_spec, change, field):
    spec = a_spec()
    change(spec)
    with pytest.raises(Invalid) as caught:
        parse_spec(spec)
    assert [name for name, _ in caught.value.errors] == [field]


@pytest.mark.parametrize(
    ("resource", "field"),
    [
        ({"name": "a"}, f"{RESOURCES}.0"),
        ({"name": "a", "path": "a.csv", "data": []}, f"{RESOURCES}.0"),
        ({"name": "a b", "path": "a.csv"}, f"{RESOURCES}.0.name"),
        ({"path": "a.csv"}, f"{RESOURCES}.0.name"),
        ({"name": "a", "path": "../../etc/passwd"}, f"{RESOURCES}.0.path"),
        ({"name": "a", "path": ["a.csv"]}, f"{RESOURCES}.0.path"),
        ({"name": "a", "data": "name\nx"}, f"{RESOURCES}.0.data"),
        ({"name": "a", "path": "a", "format": "a/b"}, f"{RESOURCES}.0.format"),
        ({"name": "a", "path": "a", "schema": "schema.json"}, f"{RESOURCES}.0.schema"),
        ({"name": "a", "path": "a", "schema": {"fields": []}}, f"{RESOURCES}.0.schema.fields"),
        ({"name": "a", "path": "a", "schema": {"fields": [{}]}}, f"{RESOURCES}.0.schema.fields.0.name"),
        (
            {"name": "a", "path": "a", "schema": {"fields": [{"name": "x", "type": "text"}]}},
            f"{RESOURCES}.0.schema.fields.0.type",
        ),
        ({"name": "a", "path": "a", "schema": {"$ref": "#/"}}, f"{RESOURCES}.0.schema.fields"),
    ],
)
def test_invalid_field_of_a_resource_is_named(a_spec, resource, field):
    with pytest.raises(Invalid) as caught:
        parse_spec(a_spec(resources=[resource]))
    assert [name for name, _ in caught.value.errors] == [field]


def test_too_many_resources_are_rejected_with_the_limit(a_spec):
    with pytest.raises(Invalid, match="at most 500"):
        parse_spec(a_spec(resources=[{"name": f"r{n}", "path": "a.csv"} for n in range(10_000)]))


def test_unknown_fields_are_ignored(a_spec):
    spec = a_spec(license="MIT", __proto__={})
    spec["meta"]["id"] = "x"
    spec["inputs"][0]["parameters"]["descriptor"]["resources"][0]["title"] = "Reds"
    assert parse_spec(spec).dataset_id == "ann/wines"


def test_optional_fields_may_be_omitted(a_spec):
    spec = a_spec()
    for name in ("version", "findability"):
        del spec["meta"][name]
    assert parse_spec(spec).meta.findability == "published"
