#!/bin/sh
# One message through each bus, by our command and by the native client, interleaved; what a dead bus
# costs; what linking four clients costs. Starts the servers itself, on loopback, and ends them.
# Needs what tests/deps.sh installs, and: libnats-dev librabbitmq-dev kcat gcc.
set -eu
exec python3 "$(dirname "$0")/buses.py" "$@"
