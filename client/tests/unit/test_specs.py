"""Specs are read from JSON and YAML files, as YAML 1.2 defines them."""

import json

import pytest

from quintet._specs import load_spec

TEXTS = ["2026-11-27", "2026-11-27 10:00:00", "no", "on", "y", "12:30", "0123", "0x1F", "1_000", "=", ".inf", ".nan"]
VALUES = {"1": 1, "-2": -2, "0": 0, "1.5": 1.5, "-1e3": -1000.0, ".5": 0.5, "true": True, "False": False, "null": None}


def load(tmp_path, text, name="spec.yaml"):
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")
    return load_spec(file, "ann")


@pytest.mark.parametrize("text", TEXTS)
def test_text_that_yaml_1_1_would_change_stays_text(tmp_path, text):
    assert load(tmp_path, f"key: {text}") == {"key": text}


@pytest.mark.parametrize(("text", "value"), VALUES.items())
def test_values_of_json(tmp_path, text, value):
    loaded = load(tmp_path, f"key: {text}")["key"]
    assert (loaded, type(loaded)) == (value, type(value))


def test_empty_value_is_null_and_merge_keys_work(tmp_path):
    assert load(tmp_path, "a: &a {x: 1}\nb: {<<: *a, y: 2}\nc:") == {"a": {"x": 1}, "b": {"x": 1, "y": 2}, "c": None}


def test_json_file_is_read_as_json(tmp_path):
    assert load(tmp_path, json.dumps({"a": "\t"}), "spec.json") == {"a": "\t"}
    assert load(tmp_path, "\ufeff" + json.dumps({"a": 1}), "SPEC.JSON") == {"a": 1}


@pytest.mark.parametrize(
    ("name", "text"), [("s.yaml", "a: [1"), ("s.yaml", "- 1"), ("s.json", "{"), ("s.yaml", "!!python/none x")]
)
def test_file_that_is_not_an_object_is_rejected_by_name(tmp_path, name, text):
    with pytest.raises(ValueError, match=name):
        load(tmp_path, text, name)


def test_owner_is_the_user_unless_the_spec_names_one():
    spec = {"meta": {"dataset": "d", "ownerid": "bob"}, "inputs": []}
    assert load_spec(spec, "ann")["meta"] == {"dataset": "d", "ownerid": "bob", "owner": "ann"}
    assert spec["meta"] == {"dataset": "d", "ownerid": "bob"}
    assert load_spec({"inputs": []}, "ann") == {"inputs": []}
