#!/bin/sh
# Builds the wheel, installs it as a user does, and runs the commands of README in an empty folder. Nothing of
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

echo "the first ten minutes: what there is, a folder to begin with, its prompts, its first packed row"
"$xmtf" recipe list | grep -q "^demo "
"$xmtf" recipe copy demo --to mine.yaml
"$xmtf" recipe show mine.yaml --changed | grep -q "^training.steps"
"$xmtf" init mine
cd mine
"$xmtf" template render words --recipe recipe.yaml | grep -q "Swahili"
"$xmtf" data build recipe.yaml
"$xmtf" data peek recipe.yaml -n 1
code=0
"$xmtf" init . 2>refusal || code=$?
[ "$code" = 2 ] && grep -q "is not empty" refusal
cd ..

echo "with the extra train: what README shows, in its order, in a folder where nothing lies"
install 'torch==2.13.0'
mkdir "$folder/reader"
(cd "$folder/reader" && PATH="$folder/venv/bin:$PATH" python "$project/scripts/readme_commands.py" "$project/README.md") >log 2>&1 ||
    { cat log; exit 1; }
cat log
grep -q "using the one packaged with xmtf" log
grep -q "^row 0" log
if grep -E "it/s|[0-9]%\|" log; then echo "a bar of a library is in the log"; exit 1; fi
for run in smoke-bloom mine; do [ -s "$folder/reader/runs/$run/report/index.html" ]; done
"$folder/venv/bin/python" -c 'import torch; assert torch.version.cuda is None, "not a CPU build"'
"$folder/venv/bin/python" -m xmtf doctor >/dev/null
