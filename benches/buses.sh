#!/bin/sh
# One message through each bus, and MANY (5000) by one process, by our command and by the native client;
# what a dead bus, a figure, and linking four clients cost. Starts the servers itself, on loopback, and
# ends them. ROUNDS (60) says how many pairs; ROUNDS=10 MANY=500 is a quick look.
# Needs what tests/deps.sh installs, and: libnats-dev librabbitmq-dev kcat gcc.
set -eu
exec python3 "$(dirname "$0")/buses.py" "$@"
