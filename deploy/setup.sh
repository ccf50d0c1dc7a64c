#!/bin/sh
# Makes .venv with everything Quintet needs, pinned by hash; does nothing if nothing has changed since.
set -eu
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3}
VENV=.venv
STAMP=$VENV/.set-up-from

say() { echo "  setup: $*" >&2; }
fail() { echo "setup: $*" >&2; exit 1; }

wanted() {  # what .venv follows from: the pins, the packages of ours, the place, the interpreter
    { pwd; "$PYTHON" -c 'import sys; print(sys.version)'; cat VERSION deploy/setup.sh deploy/requirements.txt chassis/pyproject.toml testing/pyproject.toml ./*-service/pyproject.toml gateway/console/pyproject.toml deploy/local/pyproject.toml; } | sha256sum
}

command -v "$PYTHON" > /dev/null || fail "$PYTHON is missing: install Python 3.11 or newer, or set PYTHON"
"$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
    || fail "$PYTHON is $("$PYTHON" -V), but 3.11 or newer is needed: install one and set PYTHON=/path/to/it"

wanted=$(wanted)
if [ -f $STAMP ] && [ "$(cat $STAMP)" = "$wanted" ]; then exit 0; fi

# Two at once (two stacks, tests beside a developer) would write over each other.
if [ -z "${QUINTET_SETUP_LOCKED:-}" ]; then
    QUINTET_SETUP_LOCKED=1 exec flock deploy/setup.sh sh deploy/setup.sh
fi

# A copied or moved virtual environment points to where it was made.
if [ -d $VENV ] && ! { [ -x $VENV/bin/python ] && grep -qsF "$(pwd)/$VENV" $VENV/bin/activate && $VENV/bin/python -c '' ; }; then
    say "removing the .venv of another place"
    rm -rf $VENV
fi
if [ ! -d $VENV ]; then
    say "making .venv with $("$PYTHON" -V)"
    "$PYTHON" -m venv $VENV || { rm -rf $VENV; fail "no virtual environment could be made (Debian, Ubuntu: install the package python3-venv)"; }
fi

REQUIREMENTS=deploy/requirements.txt
install() {
    if [ ! -x $VENV/bin/uv ]; then
        say "fetching the installer (uv)"
        awk '/^[^ ]/ { wanted = /^uv==/ } wanted' $REQUIREMENTS > $VENV/uv.txt
        $VENV/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $VENV/uv.txt || return 1
    fi
    say "fetching $(grep -c '==' $REQUIREMENTS) packages"
    # uv does not read pip's configuration; where that names an index, pip has to do the work.
    UV_SYSTEM_CERTS=true $VENV/bin/uv pip install --quiet --python $VENV/bin/python --require-hashes -r $REQUIREMENTS
}
if ! install; then
    say "uv could not do it; trying with pip, which is slower"
    $VENV/bin/python -m pip install --disable-pip-version-check --require-hashes -r $REQUIREMENTS \
        || fail "the packages could not be fetched: see above; behind a proxy or mirror, configure pip (pip config) and run this again"
fi

say "linking the code of this checkout into .venv"
editable=""
for package in chassis testing ./*-service gateway/console deploy/local; do
    if [ -f "$package/pyproject.toml" ]; then editable="$editable -e ./${package#./}"; fi
done
# No build isolation: the build backend is one of the pinned packages.
# shellcheck disable=SC2086
$VENV/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation $editable

echo "$wanted" > $STAMP
say "done"
