#!/usr/bin/env bash
# Run tests with the lowest versions that pyproject.toml allows of what the library imports itself.
#
#   tests/lowest_versions.sh [pytest arguments]
#
# Builds .venv-lowest once. TORCH=2.13.0 takes another torch than the lowest (which is large: PyPI's
# wheels for Linux bring CUDA).
set -euo pipefail
cd "$(dirname "$0")/.."
environment=.venv-lowest
if [ ! -x "$environment/bin/python" ]; then
  python3 -m venv "$environment"
  "$environment/bin/pip" install -q uv
  override=()
  if [ -n "${TORCH:-}" ]; then
    echo "torch==$TORCH" > "$environment/override.txt"
    override=(--override "$environment/override.txt")
  fi
  # extras at their newest, so that the tests themselves run
  sed -n '/^dependencies = \[/,/^\]/p' pyproject.toml | sed -n 's/^ *"\(.*\)",.*/\1/p' > "$environment/direct.txt"
  "$environment/bin/uv" pip compile -q --resolution lowest-direct "${override[@]}" \
    "$environment/direct.txt" -o "$environment/lowest.txt"
  "$environment/bin/uv" pip install -q --python "$environment/bin/python" \
    -r "$environment/lowest.txt" -e ".[test]"
fi
"$environment/bin/python" -c "
import importlib.metadata as m
for line in open('$environment/direct.txt'):
    name = line.split('>=')[0].strip()
    print(f'{name:14}', m.version(name), f'(allowed: {line.strip()})')"
exec "$environment/bin/python" -m pytest -q "$@"
