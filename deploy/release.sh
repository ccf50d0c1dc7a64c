#!/bin/sh
# Build wheels and images of the version in VERSION, and tag the commit: `make release`.
set -eu
cd "$(dirname "$0")/.."

log_progress() { echo "  release: $*" >&2; }
fail() { echo "release: $*" >&2; exit 1; }

version=$(cat VERSION)
tag=v$version
[ -z "$(git status --porcelain)" ] || fail "the working tree must be clean: commit or stash your changes"
! git rev-parse --quiet --verify "refs/tags/$tag" > /dev/null || fail "the tag $tag already exists: increase VERSION"
grep -q "^## \[$version\]" CHANGELOG.md || fail "CHANGELOG.md must have a section [$version]"

log_progress "building the wheels of $version into dist/"
rm -rf dist
packages=""
for package in chassis testing ./*-service gateway/console deploy/local client; do
    packages="$packages ./${package#./}"
done
# The timestamps in the wheels are those of the commit, so the same commit produces the same files.
# shellcheck disable=SC2086
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) .venv/bin/python -m pip wheel --quiet --disable-pip-version-check \
    --no-deps --no-build-isolation --wheel-dir dist $packages
for wheel in dist/*.whl; do
    case $wheel in *"-$version-py3-none-any.whl") ;; *) fail "$wheel does not have the version $version" ;; esac
done

if timeout 10 docker info > /dev/null 2>&1; then
    log_progress "building the images with the tag $version"
    COMPOSE_PROJECT_NAME=quintet-release STACK_ID=none QUINTET_TAG=$version docker compose build --quiet
else
    log_progress "no Docker engine responds: no images were built"
fi

git tag --annotate "$tag" --message "Release $version"
log_progress "tagged $tag; publish it with: git push origin $tag"
