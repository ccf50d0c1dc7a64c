"""Specs of datasets: a dict, or a file of JSON or YAML."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any, Union

import yaml

SpecSource = Union["dict[str, Any]", str, "os.PathLike[str]"]


class _Yaml12Loader(yaml.SafeLoader):
    """Loads only what JSON has, as the core schema of YAML 1.2 defines it: `2026-11-27`, `no` and `12:30` are text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


_Yaml12Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Yaml12Loader.add_implicit_resolver(
    "tag:yaml.org,2002:null", re.compile(r"(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]
)
_Yaml12Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"[-+]?[1-9][0-9]*$|[-+]?0$"), list("-+0123456789")
)
_Yaml12Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?$|[-+]?[0-9]+[eE][-+]?[0-9]+$"),
    list("-+.0123456789"),
)
_Yaml12Loader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"<<$"), ["<"])


def load_spec(source: SpecSource, user: str) -> dict[str, Any]:
    """Return the spec, whose owner is the user unless it names one; raise ValueError if it is not a valid file."""
    spec = source if isinstance(source, dict) else _read_spec(Path(source))
    meta = spec.get("meta")
    return {**spec, "meta": {"owner": user, "ownerid": user, **meta}} if isinstance(meta, dict) else spec


def _read_spec(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
        spec = json.loads(text) if path.suffix.lower() == ".json" else yaml.load(text, _Yaml12Loader)
        # An alias of YAML may contain itself.
        json.dumps(spec, ensure_ascii=False, allow_nan=False).encode()
    except (yaml.YAMLError, TypeError, ValueError, RecursionError) as error:
        # The text of an error of YAML has several lines.
        raise ValueError(f"{path} must be valid JSON or YAML: {' '.join(str(error).split())}") from error
    if not isinstance(spec, dict):
        raise ValueError(f"{path} must contain an object, with meta and inputs")
    return spec
