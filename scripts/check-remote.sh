#!/bin/sh
# The tests of addresses with a real S3 client and server on loopback, which the lock cannot hold: botocore needs an older
# python-dateutil. They go into a folder of their own beside the environment of the tests, $1; nothing in it changes.
set -eu
unset PYTHONPATH
python=$(cd "$1" && pwd)/bin/python
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$python" -m pip install --quiet --disable-pip-version-check --no-warn-conflicts --target "$folder" \
    's3fs==2026.9.0' 'moto[server]==5.2.5'
PYTHONPATH="$PWD/src:$folder" "$python" -m pytest -q -p no:cacheprovider -k s3 tests/unit/core \
    >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
tail -1 "$folder/log"
if grep -q skipped "$folder/log"; then cat "$folder/log"; echo "tests of S3 were skipped"; exit 1; fi
