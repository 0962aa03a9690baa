#!/bin/sh
# What the test suite uses beyond a Rust toolchain, from Debian packages. Does nothing where all is there.
set -eu

need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }

missing=""
need git git
need cc gcc
need c++ g++
need python3 python3-minimal
need mandoc mandoc
need mkfs.ext4 e2fsprogs
need mkfs.xfs xfsprogs
need losetup mount
need strace strace
need faketime faketime
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then as_root=""; else as_root="sudo"; fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "deps: please install:$missing" >&2
    exit 2
fi
echo "deps: installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get update -qq
# shellcheck disable=SC2086 # a list of package names
$as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
