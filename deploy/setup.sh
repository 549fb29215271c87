#!/bin/sh
# Makes .venv in the project folder with exactly the packages of requirements.lock. A second run takes a moment.
# PYTHON=/path/to/python chooses the interpreter.
set -eu
cd -- "$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)"
# What a caller's shell may carry and must not reach our environment.
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV CONDA_PREFIX PIP_TARGET PIP_PREFIX PIP_ROOT PIP_USER PIP_REQUIRE_VIRTUALENV \
    UV_PROJECT_ENVIRONMENT UV_TARGET UV_PREFIX UV_PYTHON 2>/dev/null || true

stamp=.venv/.zhida-complete
say() { printf 'setup: %s\n' "$*"; }
fail() { printf 'setup: %s\n' "$@" >&2; exit 1; }

projects="-e ."
[ -f receiver/pyproject.toml ] && projects="$projects -e ./receiver"
# The folder belongs to the fingerprint: a virtual environment does not survive being moved.
want=$({ cat requirements.lock pyproject.toml deploy/setup.sh receiver/pyproject.toml 2>/dev/null || true; pwd -P; } | cksum)

complete() { [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && .venv/bin/python -c '' 2>/dev/null; }
complete && exit 0

# One set-up at a time: others wait, and a lock whose process has died counts for nothing.
lock=.venv.lock told=''
until mkdir "$lock" 2>/dev/null; do
    owner=$(cat "$lock/pid" 2>/dev/null || { sleep 1 && cat "$lock/pid" 2>/dev/null; } || true)
    if [ -n "$owner" ] && kill -0 "$owner" 2>/dev/null; then
        [ -n "$told" ] || say "waiting for the set-up that runs already (process $owner)"
        told=1
        sleep 1
    else
        rm -rf "$lock"
    fi
done
trap 'rm -rf "$lock"' EXIT
trap 'exit 130' INT TERM HUP
echo $$ >"$lock/pid"
complete && exit 0
if [ ! -f "$stamp" ] || ! .venv/bin/python -c '' 2>/dev/null; then
    [ -d .venv ] && say "the .venv here is unfinished or moved: making it again"
    rm -rf .venv
fi
rm -f "$stamp" # until the end of this run, whatever stops it, .venv counts as unfinished

supported='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))'
python='' without_pip=''
for candidate in ${PYTHON:+"$PYTHON"} python3.13 python3.12 python3.11 python3.14 python3 python; do
    "$candidate" -c "$supported" >/dev/null 2>&1 || continue
    if command -v uv >/dev/null 2>&1 || "$candidate" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        python=$candidate
        break
    fi
    without_pip=${without_pip:-$candidate}
done

if [ -z "$python" ] && [ -n "$without_pip" ]; then
    minor=$("$without_pip" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
    fail "$without_pip is there, but without the modules venv and ensurepip that make a virtual environment." \
        "Debian and Ubuntu keep them in a package of their own: apt-get install $minor-venv" \
        "Or put uv (docs.astral.sh/uv) on the PATH: it needs neither. Then run this again."
fi
if [ -z "$python" ] && ! command -v uv >/dev/null 2>&1; then
    fail "Zhida needs Python 3.11 to 3.14; none was found on the PATH (python3 is $(command -v python3 >/dev/null && python3 --version 2>&1 || echo absent))." \
        "Install one, or put uv on the PATH, which brings its own, or name one: make setup PYTHON=/path/to/python3"
fi

packages=$(grep -c '^[a-z0-9].*==' requirements.lock)
with_uv() {
    say "uv: making .venv and installing up to $packages locked packages (some 250 MB to download the first time)"
    [ -x .venv/bin/python ] || uv venv --quiet --no-project --python "${python:->=3.11,<3.15}" .venv || return 1
    uv pip install --python .venv/bin/python --require-hashes --no-deps --compile-bytecode \
        -r requirements.lock || return 1
    # shellcheck disable=SC2086  # two words on purpose
    uv pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation $projects
}
with_pip() {
    quiet=''
    [ -t 1 ] || quiet=--quiet
    say "$("$python" --version): making .venv and installing up to $packages locked packages" \
        "(some 250 MB to download and a few minutes the first time)"
    [ -x .venv/bin/python ] || "$python" -m venv .venv || return 1
    .venv/bin/python -m pip install $quiet --disable-pip-version-check --no-input --require-hashes --no-deps \
        -r requirements.lock || return 1
    # shellcheck disable=SC2086
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps --no-build-isolation $projects
}

if ! { command -v uv >/dev/null 2>&1 && with_uv; }; then
    if [ -z "$python" ] || ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        fail "uv could not do it (its message is above), and there is no Python with venv and pip to try instead."
    fi
    command -v uv >/dev/null 2>&1 && say "uv could not do it; trying venv and pip" && rm -rf .venv
    with_pip || fail "installing failed; the message is above. Run this again once its cause is gone."
fi

printf '%s\n' "$want" >"$stamp"
say "ready"
