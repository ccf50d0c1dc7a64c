#!/bin/sh
# Create or update .venv with all dependencies, pinned by hash. Does nothing if it is up to date.
set -eu
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3}
VENV=.venv
STAMP=$VENV/.setup-hash

log_progress() { echo "  setup: $*" >&2; }
fail() { echo "setup: $*" >&2; exit 1; }

inputs_hash() {  # .venv depends on the pins, the packages of this checkout, its path and the interpreter
    { pwd; "$PYTHON" -c 'import sys; print(sys.version)'; cat VERSION deploy/setup.sh deploy/requirements.txt chassis/pyproject.toml testing/pyproject.toml ./*-service/pyproject.toml gateway/console/pyproject.toml deploy/local/pyproject.toml client/pyproject.toml; } | sha256sum
}

command -v "$PYTHON" > /dev/null || fail "PYTHON must be an installed interpreter: $PYTHON. Install Python 3.11 or newer, or set PYTHON"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
    || fail "PYTHON must be version 3.11 or newer, but $PYTHON is $("$PYTHON" -V): install one and set PYTHON=/path/to/it"

expected_hash=$(inputs_hash)
if [ -f $STAMP ] && [ "$(cat $STAMP)" = "$expected_hash" ]; then exit 0; fi

# Concurrent runs (two stacks, or tests and a developer) would overwrite each other's files.
if [ -z "${QUINTET_SETUP_LOCKED:-}" ]; then
    QUINTET_SETUP_LOCKED=1 exec flock deploy/setup.sh sh deploy/setup.sh
fi

# A copied or moved virtual environment refers to the path at which it was created.
if [ -d $VENV ] && ! { [ -x $VENV/bin/python ] && grep -qsF "$(pwd)/$VENV" $VENV/bin/activate && $VENV/bin/python -c '' ; }; then
    log_progress "removing a .venv that was created at another path"
    rm -rf $VENV
fi
if [ ! -d $VENV ]; then
    log_progress "creating .venv with $("$PYTHON" -V)"
    "$PYTHON" -m venv $VENV || { rm -rf $VENV; fail ".venv could not be created (Debian, Ubuntu: install the package python3-venv)"; }
fi

REQUIREMENTS=deploy/requirements.txt
install() {
    if [ ! -x $VENV/bin/uv ]; then
        log_progress "downloading the installer (uv)"
        awk '/^[^ ]/ { is_uv = /^uv==/ } is_uv' $REQUIREMENTS > $VENV/uv.txt
        $VENV/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $VENV/uv.txt || return 1
    fi
    log_progress "downloading $(grep -c '==' $REQUIREMENTS) packages"
    # uv does not read pip's configuration, so pip is used if the index in that configuration is required.
    UV_SYSTEM_CERTS=true $VENV/bin/uv pip install --quiet --python $VENV/bin/python --no-deps --require-hashes -r $REQUIREMENTS
}
if ! install; then
    log_progress "uv failed; retrying with pip, which is slower"
    $VENV/bin/python -m pip install --disable-pip-version-check --no-deps --require-hashes -r $REQUIREMENTS \
        || fail "the packages could not be downloaded: see above. Behind a proxy or mirror, configure pip (pip config) and run this again"
fi

log_progress "linking the code of this checkout into .venv"
editable=""
for package in chassis testing ./*-service gateway/console deploy/local client; do
    if [ -f "$package/pyproject.toml" ]; then editable="$editable -e ./${package#./}"; fi
done
# No build isolation, because the build backend is one of the pinned packages.
# shellcheck disable=SC2086
$VENV/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation $editable

echo "$expected_hash" > $STAMP
log_progress "done"
