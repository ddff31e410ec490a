#!/bin/sh
# Installs the base with the oldest versions that pyproject.toml allows, and carries out what the base can do: the smoke
# mixture, whose rows must be those of the pinned versions, help of every verb, prompts, a report, figures.
# $1: the virtual environment of the tests. UV: the program uv (pip install uv), which picks the oldest versions.
set -eu
unset PYTHONPATH
reference=$(cd "$1" && pwd)
project=$(cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

uv=${UV:-uv}
if ! command -v "$uv" >/dev/null; then
    "$reference/bin/python" -m venv "$folder/uv"
    "$folder/uv/bin/python" -m pip install --quiet --disable-pip-version-check uv
    uv="$folder/uv/bin/uv"
fi
"$uv" venv --quiet --python "$reference/bin/python" "$folder/venv"
python="$folder/venv/bin/python" xmtf="$folder/venv/bin/xmtf"
"$uv" pip install --quiet --python "$python" --resolution lowest-direct "$project"
"$uv" pip list --python "$python"

mkdir "$folder/empty"
cd "$folder/empty"
XMTF_CACHE="$folder/cache" && export XMTF_CACHE
"$python" -c "from xmtf.cli.completion.index import build_index; assert len(build_index()['verbs']) > 50"
for verb in run train "data build" "evaluate rank" "template render"; do "$xmtf" $verb --help | grep -q "Usage: xmtf $verb"; done
"$xmtf" data build smoke/mixture --out mixture
"$reference/bin/xmtf" data build "$project/recipes/smoke/mixture.yaml" --out reference
"$reference/bin/python" "$project/scripts/same_rows.py" mixture reference
"$xmtf" init mine
"$xmtf" recipe list --json | grep -q '"name":"demo"'
"$xmtf" template render words --recipe mine/recipe.yaml | grep -q "Swahili"
"$xmtf" template lint --recipe mine/recipe.yaml >/dev/null
"$xmtf" data build mine/recipe.yaml --json | grep -q '"fingerprint"'
"$xmtf" data peek runs/mine/mixture -n 1 >/dev/null
"$xmtf" data export runs/mine/mixture --to exported >/dev/null
"$xmtf" analyze taxonomy runs/mine/mixture >/dev/null
"$xmtf" report tables --reference >/dev/null
"$xmtf" report figures --reference --only 4 --format svg --out figures >/dev/null
"$xmtf" doctor >/dev/null
echo "the base works with its oldest versions"
