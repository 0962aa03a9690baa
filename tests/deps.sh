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
need mkfs.vfat dosfstools
need lowntfs-3g ntfs-3g
need losetup mount
need script bsdutils
need unshare util-linux
need strace strace
need faketime faketime
need bwrap bubblewrap
need git-lfs git-lfs
need openssl openssl
need ssh-keygen openssh-client
need ip iproute2
need redis-server redis-server
need redis-cli redis-tools
need nats-server nats-server
[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || missing="$missing rabbitmq-server"
need java default-jre-headless
need mvn maven

# Apache Kafka comes from Maven Central, into a cache beside no repository.
kafka="${XDG_CACHE_HOME:-$HOME/.cache}/sporekit/kafka-4.1.1"
bring_kafka() {
    [ ! -e "$kafka/done" ] || return 0
    echo "deps: bringing Apache Kafka 4.1.1 to $kafka" >&2
    mkdir -p "$kafka"
    cp "$(dirname "$0")/servers/kafka.xml" "$kafka/pom.xml"
    (cd "$kafka" && mvn -q -B dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=libs >mvn.log 2>&1) ||
        { echo "deps: mvn failed: see $kafka/mvn.log" >&2; return 2; }
    touch "$kafka/done"
}
[ -n "$missing" ] || { bring_kafka; exit; }

if [ "$(id -u)" = 0 ]; then as_root=""; else as_root="sudo"; fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "deps: please install:$missing" >&2
    exit 2
fi
echo "deps: installing$missing" >&2
export DEBIAN_FRONTEND=noninteractive
# Servers are started by the tests, not by their packages.
if [ ! -e /usr/sbin/policy-rc.d ]; then
    trap '$as_root rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' | $as_root tee /usr/sbin/policy-rc.d >/dev/null
    $as_root chmod 755 /usr/sbin/policy-rc.d
fi
$as_root apt-get update -qq
# shellcheck disable=SC2086 # a list of package names
$as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
bring_kafka
