#!/bin/sh
# Builds the wheel, installs it as a user does, and runs the smoke recipe from an empty folder. Nothing of
# constraints.txt is read: the newest version of every dependency counts, but for torch, whose newest may be CUDA's.
# $1: the virtual environment of the tests, whose smoke mixture must have the same rows.
set -eu
unset PYTHONPATH
reference=$(cd "$1" && pwd)
project=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-python3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$python" -m venv "$folder/venv"
install() { "$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }
"$folder/venv/bin/python" -m pip wheel --quiet --disable-pip-version-check --no-deps -w "$folder/dist" "$project"
wheel=$(echo "$folder"/dist/*.whl)
mkdir "$folder/empty"
cd "$folder/empty"
xmtf="$folder/venv/bin/xmtf"

echo "the wheel alone: a mixture, and one line where a model is wanted"
install "$wheel"
"$xmtf" data build smoke/mixture --out mixture
"$reference/bin/xmtf" data build "$project/recipes/smoke/mixture.yaml" --out reference
"$reference/bin/python" "$project/scripts/same_rows.py" mixture reference
code=0
"$xmtf" run smoke/bloom-tiny 2>refusal || code=$?
cat refusal
[ "$code" = 2 ] && grep -q "xmtf\[train\]" refusal && [ ! -e runs ]

echo "with the extra train: the smoke recipe"
install 'torch==2.13.0' "$wheel[train]"
"$folder/venv/bin/python" -c 'import torch; assert torch.version.cuda is None, "not a CPU build"'
"$folder/venv/bin/python" -m xmtf run smoke/bloom-tiny
[ -s runs/smoke-bloom/report/index.html ]
