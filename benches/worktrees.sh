#!/bin/sh
# The section "Worktrees" of BENCHMARKS.md: worktree-spawn beside git worktree add, in turn and with xargs -P.
# As root on ext4 and XFS images of its own, otherwise in $TMPDIR. See worktrees.py --help.
set -eu
cd "$(dirname "$0")"
exec python3 worktrees.py "$@"
