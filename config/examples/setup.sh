#!/bin/sh
# Makes the Python environment of the examples: config/examples/.venv with the
# pinned requirements of all of them, and a link to it in each example, where
# the trainer's runner looks for .venv/bin. Running it again does nothing until
# a requirements.txt changes. Set PYTHON to choose an interpreter (3.11 or newer).
set -eu
cd "$(dirname "$0")"

examples="flights diabetes wine"
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "setup.sh: $python is older than Python 3.11; set PYTHON to a newer one" >&2
  exit 1
}

requirements=""
for e in $examples; do requirements="$requirements -r $e/requirements.txt"; done
stamp=$({ "$python" --version; for e in $examples; do cat "$e/requirements.txt"; done; } | cksum)

if [ "$(cat .venv/stamp 2>/dev/null)" != "$stamp" ]; then
  if command -v uv >/dev/null 2>&1; then
    export UV_PYTHON_DOWNLOADS=never
    uv venv --quiet --clear --python "$python" .venv
    # shellcheck disable=SC2086 # a list of flags
    uv pip install --quiet --python .venv/bin/python $requirements
  else
    "$python" -m venv --clear .venv
    # shellcheck disable=SC2086
    .venv/bin/python -m pip install --quiet --disable-pip-version-check $requirements
  fi
  printf '%s\n' "$stamp" >.venv/stamp
fi
for e in $examples; do [ "$(readlink "$e/.venv" 2>/dev/null)" = ../.venv ] || ln -sfn ../.venv "$e/.venv"; done
echo "$(pwd)/.venv is ready"
