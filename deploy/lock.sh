#!/bin/sh
# Chooses the newest allowed version of every package, for every system at once, and writes the lock files anew.
# requirements.lock holds hashes only: no address of an index, so that each user's own index serves.
set -eu
cd -- "$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)"
tool=.local/lock-tool
if command -v uv >/dev/null 2>&1; then
    uv=uv
else
    [ -x "$tool/bin/uv" ] || { .venv/bin/python -m venv "$tool" && "$tool/bin/pip" install --quiet uv; }
    uv=$tool/bin/uv
fi
"$uv" pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
    --extra local --extra dev pyproject.toml --output-file requirements.lock
# Nobody should need a compiler: every package must have wheels for every system and Python that we name.
for system in x86_64-manylinux_2_28 aarch64-manylinux_2_28 x86_64-apple-darwin aarch64-apple-darwin; do
    for version in 3.11 3.12 3.13 3.14; do
        printf 'lock: wheels for %s, Python %s\n' "$system" "$version"
        "$uv" pip compile --quiet --no-deps --only-binary :all: --python-platform "$system" --python-version "$version" \
            --no-annotate --no-header requirements.lock >/dev/null
    done
done
.venv/bin/python -m deploy.local.jar
git --no-pager diff --stat -- requirements.lock deploy/local/kafka.lock || true
