#!/bin/sh
# Check the OpenAPI documents with Spectral and Redocly (`make lint`), which are installed again if the lock file changes.
set -eu
cd "$(dirname "$0")"

if ! command -v npm > /dev/null; then
    echo "lint: the OpenAPI documents are not checked with Spectral and Redocly, which require npm (Node.js)" >&2
    exit 0
fi

STAMP=node_modules/.lock-hash
lock_hash() { sha256sum package.json package-lock.json; }
if [ "$(cat $STAMP 2> /dev/null)" != "$(lock_hash)" ]; then
    # Concurrent runs would overwrite each other's files.
    if [ -z "${QUINTET_LINT_LOCKED:-}" ]; then
        QUINTET_LINT_LOCKED=1 exec flock ./openapi.sh sh ./openapi.sh
    fi
    echo "  lint: installing Spectral and Redocly" >&2
    npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
    lock_hash > $STAMP
fi

DOCUMENTS="../../gateway/console/openapi.yaml $(echo ../../*-service/openapi.yaml)"
# shellcheck disable=SC2086
node_modules/.bin/spectral lint --quiet --ruleset spectral.yaml --fail-severity hint $DOCUMENTS
# Its report of successful checks is not shown.
# shellcheck disable=SC2086
REPORT=$(REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true \
    node_modules/.bin/redocly lint --config redocly.yaml --format stylish $DOCUMENTS 2>&1) || { echo "$REPORT" >&2; exit 1; }
