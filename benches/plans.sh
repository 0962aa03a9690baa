#!/bin/sh
# Plans: quality against proved optima, speed from text to plan, other planners beside ours; the section "Plans" of BENCHMARKS.md.
# Wants release binaries on PATH; CORPUS is a directory with schedules/ (README.md there), else quality is left out.
# About 3 minutes, and first 2 to build the bench; `--quick` takes every eighth row, MILLION=1 adds the largest lists,
# CPSAT=1 OR-Tools.
set -eu
cd "$(dirname "$0")/.."
corpus=${CORPUS:-../shared/corpus}
echo "## Plans"; echo
if [ -d "$corpus/schedules" ]; then
    cargo bench --quiet --no-default-features --bench schedules -- "$(realpath "$corpus/schedules")" "$@" || echo "(a target was missed)"
else
    cargo bench --quiet --no-default-features --bench schedules -- "$@"
fi
python3 benches/plans.py
if [ -d "$corpus/schedules" ] && [ -n "${CPSAT:-}" ]; then
    venv=$(mktemp -d)
    python3 -m venv "$venv" && "$venv/bin/pip" install --quiet ortools && "$venv/bin/python" benches/cpsat.py "$corpus/schedules"
    rm -r "$venv"
fi
