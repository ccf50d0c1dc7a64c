#!/bin/sh
# Update deploy/requirements.txt from the version ranges in every pyproject.toml (`make pins`).
set -eu
cd "$(dirname "$0")/.."
.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
    --no-emit-package quintet-chassis --no-emit-package quintet-client --no-emit-package quintet-local-stack \
    --output-file deploy/requirements.txt "$@" \
    chassis/pyproject.toml testing/pyproject.toml ./*-service/pyproject.toml gateway/console/pyproject.toml deploy/local/pyproject.toml client/pyproject.toml tests-e2e/pyproject.toml
