"""Benchmark cases of the specstore-service: uploads of specs and reads of their status. No pipeline runs."""

import json

import requests
from wrk import Request

from quintet_local.testing import TestStack

# An external runner that does not exist: the registry is measured, not the execution of pipelines.
SETTINGS = {"DPP_URL": "http://127.0.0.1:9"}
DATASETS = 100
FIELDS = [{"name": "name", "type": "string"}, {"name": "year", "type": "integer"}, {"name": "price", "type": "number"}]


def cases(stack: TestStack) -> list[tuple[str, Request]]:
    credentials = (stack.user, stack.password)
    token = requests.post(f"{stack.url}/auth/token", auth=credentials, timeout=10).json()["token"]
    headers = {"Content-Type": "application/json", "Auth-Token": token}
    specs = [json.dumps(_spec(stack.user, f"bench-{number}")) for number in range(DATASETS)]
    response = requests.post(f"{stack.url}/source/upload", specs[0], headers=headers, auth=credentials, timeout=10)
    response.raise_for_status()
    return [
        ("read the status of a flow", Request([f"/source/{stack.user}/bench-0/1"])),
        ("upload a spec", Request(["/source/upload"], "POST", headers, bodies=specs)),
    ]


def _spec(owner: str, dataset: str) -> dict[str, object]:
    resource = {"name": "wines", "path": "https://example.org/wines.csv", "schema": {"fields": FIELDS}}
    parameters = {"descriptor": {"name": "bench", "resources": [resource]}}
    return {
        "meta": {"owner": owner, "ownerid": owner, "dataset": dataset, "version": 1, "findability": "published"},
        "inputs": [{"kind": "datapackage", "url": "datapackage.json", "parameters": parameters}],
    }
