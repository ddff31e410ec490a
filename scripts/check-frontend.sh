#!/bin/sh
# The studio's editor is what frontend/package-lock.json makes of frontend/src, to the byte. Needs node, npm and a registry.
# With --write it is made anew instead (`make frontend`).
set -eu
project=$(cd "$(dirname "$0")/.." && pwd)
static=$project/src/xmtf/studio/static
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cp -r "$project/frontend/package.json" "$project/frontend/package-lock.json" "$project/frontend/build.mjs" "$project/frontend/src" "$folder"
mkdir "$folder/made"
cd "$folder"
npm ci --ignore-scripts --no-audit --no-fund --loglevel=error
node build.mjs made

for file in editor.js editor-licences.txt; do
    if [ "${1:-}" = --write ]; then
        cp "made/$file" "$static/$file"
    elif ! cmp "made/$file" "$static/$file"; then
        echo "src/xmtf/studio/static/$file is not what frontend/ makes; run: make frontend" >&2
        exit 1
    fi
done
