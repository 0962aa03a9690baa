#!/bin/sh
# Every man page is well formed.
set -eu
if ! command -v mandoc >/dev/null 2>&1; then
    echo "lint-man: SKIPPED, mandoc is not installed (run tests/deps.sh)" >&2
    [ "${SPORE_TEST_STRICT:-}" = "" ] || exit 1
    exit 0
fi
for page in man/*.[157]; do
    mandoc -T lint -W warning "$page"
done
echo "man pages: ok"
