#!/bin/sh
# Restarts a service by whatever the machine has for it, and says what it did.
set -eu
service=$1
printf 'restarting %s: %s\n' "$service" "$WHY"
exec "${HOME}/bin/service-control" restart "$service"
