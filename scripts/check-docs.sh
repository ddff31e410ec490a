#!/bin/sh
# Builds the documentation site into docs/_build/html and checks it; $1: a virtual environment with xmtf (.venv).
# Warnings are errors; tutorials and notebooks are run; links, figures and the search of the built pages are checked.
set -eu
cd "$(dirname "$0")/.."
venv=${1:-.venv}
python=$venv/bin/python

if ! "$python" -c 'import furo, myst_parser, nbclient, ipykernel, sphinx_design' 2>/dev/null; then
    if command -v uv >/dev/null 2>&1; then
        links=$("${PYTHON:-python3}" -m pip config get global.find-links 2>/dev/null || true)
        uv pip install --quiet --python "$python" ${links:+--find-links "$links"} -c constraints.txt -e '.[docs]'
    else
        "$python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
    fi
fi
export PYTHONPATH="scripts${PYTHONPATH:+:$PYTHONPATH}" OMP_NUM_THREADS=1
rm -rf docs/_build
"$python" -m docs_pages.notebooks docs/notebooks docs/_build/notebooks &
notebooks=$!
failed=0
"$python" -m docs_pages.tutorials docs/tutorials || failed=1
wait "$notebooks" || failed=1
[ "$failed" = 0 ]
"$python" -m sphinx -W --keep-going --quiet -j 2 -b html -d docs/_build/doctrees docs docs/_build/html
"$python" -m docs_pages.links docs/_build/html
"$python" -m docs_pages.try_search docs/_build/html
