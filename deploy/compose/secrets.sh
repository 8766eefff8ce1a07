#!/bin/sh
# Makes the secrets of compose.yaml in the folder secrets, which it does not touch when it is there.
set -eu
cd "$(dirname "$0")"
if [ -e secrets ]; then
	echo "secrets is there already: nothing is changed" >&2
	exit 1
fi
umask 077
random() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }
mkdir secrets
store=$(random 24) access=$(random 10) secret=$(random 24)
printf %s "$store" >secrets/store_password
cat >secrets/gateway.env <<END
STORE_PASSWORD=$store
STORE_KEY=$(random 32)
ARCHIVE_ACCESS_KEY=$access
ARCHIVE_SECRET_KEY=$secret
END
cat >secrets/archive.env <<END
ROOT_ACCESS_KEY=$access
ROOT_SECRET_KEY=$secret
END
