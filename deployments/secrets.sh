#!/bin/sh
# Creates the passwords of compose.yaml, once: random, in files that nobody else on this machine can reach. Existing
# ones stay. Containers read them as users of their own, so the folder is closed to others before there is a file in it,
# and each file is the user's own until all of it is written.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
chmod 700 secrets
password() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }
write() { [ -e "secrets/$1" ] || { printf '%s' "$2" > "secrets/$1.new" && chmod 444 "secrets/$1.new" && mv "secrets/$1.new" "secrets/$1"; }; }
write postgres_password "$(password)"
write owner_password "$(password)"
write database_url "postgres://tactus_owner:$(cat secrets/owner_password)@postgres:5432/tactus?sslmode=disable"
