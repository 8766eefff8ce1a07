#!/bin/sh
# Writes the credential that it reads into the service's file, which nobody else can read.
set -eu
umask 077
file="${HOME}/etc/$1.credential"
cat >"$file.new"
mv "$file.new" "$file"
