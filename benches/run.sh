#!/bin/sh
# All measurements, whole commands beside real peers, in one run; the tables of BENCHMARKS.md. `make bench` calls it.
set -eu
cd "$(dirname "$0")"
need() { command -v "$1" >/dev/null 2>&1 || { echo "bench: please install $2 (Debian)" >&2; exit 2; }; }
need mdeliver mblaze
need cc gcc
need mkfs.xfs xfsprogs
need jq jq
echo "## Machine"; echo
echo "$(nproc) cores, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), Linux $(uname -r), $(rustc --version)"
echo; echo "## Mailboxes"; echo
python3 mailboxes.py "$@"
for script in protocol.sh plans.sh worktrees.sh runs.sh control.sh merging.sh buses.sh; do
    [ ! -e "$script" ] || { echo; sh "$script"; }
done
