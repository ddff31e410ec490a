#!/bin/sh
# Installs the base wheel under other versions of Python and builds the smoke mixture, whose rows must be those of the tests'
# environment. $1: the virtual environment of the tests; then the interpreters, such as python3.12 python3.13.
set -eu
unset PYTHONPATH
reference=$(cd "$1" && pwd)
shift
project=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$reference/bin/python" -m pip wheel --quiet --disable-pip-version-check --no-deps -w "$folder/dist" "$project"
cd "$folder"
"$reference/bin/xmtf" data build "$project/recipes/smoke/mixture.yaml" --out reference
for python in "$@"; do
    "$python" --version
    "$python" -m venv "$folder/$python"
    "$folder/$python/bin/python" -m pip install --quiet --disable-pip-version-check "$folder"/dist/*.whl
    "$folder/$python/bin/xmtf" data build smoke/mixture --out "mixture-$python"
    "$reference/bin/python" "$project/scripts/same_rows.py" "mixture-$python" reference
    "$folder/$python/bin/xmtf" init "mine-$python"
    "$folder/$python/bin/xmtf" template render words --recipe "mine-$python/recipe.yaml" | grep -q "Swahili"
    "$folder/$python/bin/xmtf" report tables --reference >/dev/null
    echo "the base works with $python"
done
