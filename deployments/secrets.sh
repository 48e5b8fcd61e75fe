#!/bin/sh
# Creates the passwords of compose.yaml, once: random, in files that nobody else on this machine can reach. Existing
# ones stay. Containers read them as users of their own, so the folder is closed to others before there is a file in it,
# and each file is the user's own until all of it is written. With --tls it also creates the certificates of
# compose.tls.yaml, by openssl: an authority, whose key is not kept, and what it issues for ten years. To have others,
# remove secrets/tls_*.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
chmod 700 secrets
password() {
  made=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  [ ${#made} -eq 32 ] || { echo "$0: no random bytes could be read from /dev/urandom by od" >&2; exit 1; }
  printf '%s' "$made"
}
write() {
  [ ! -e "secrets/$1" ] || return 0
  rm -f "secrets/$1.new" # which may be a link to elsewhere
  printf '%s' "$2" > "secrets/$1.new"
  chmod 444 "secrets/$1.new"
  mv "secrets/$1.new" "secrets/$1"
}
postgres=$(password)
owner=$(password)
write postgres_password "$postgres"
write owner_password "$owner"
for secret in postgres_password owner_password; do
  [ -s "secrets/$secret" ] || { echo "$0: secrets/$secret is empty: remove it and secrets/database_url*, to have them made anew" >&2; exit 1; }
done
owner=$(cat secrets/owner_password)
write database_url "postgres://tactus_owner:$owner@postgres:5432/tactus?sslmode=disable"
for url in secrets/database_url*; do
  grep -qF ":$owner@" "$url" || { echo "$0: $url has another password than owner_password: remove it, to have it made anew" >&2; exit 1; }
done
case "${1:-}" in
'') exit ;;
--tls) ;;
*) echo "$0 $1: want --tls, or nothing" >&2; exit 2 ;;
esac

write database_url_tls "postgres://tactus_owner:$owner@postgres:5432/tactus?sslmode=verify-full&sslrootcert=/run/secrets/tls_authority"
[ ! -e secrets/tls_authority ] || exit 0
rm -f secrets/tls_* # of a run that was interrupted: another authority issues what follows
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
ask() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 "$@" 2> "$made/said" || { cat "$made/said" >&2; exit 1; }; }
ask -x509 -subj "/CN=tactus compose" -keyout "$made/authority.key" -out "$made/authority" \
  -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign"
issue() { # name, usage
  ask -subj "/CN=$1" -keyout "$made/$1.key" -out "$made/$1.request"
  printf 'subjectAltName=DNS:%s\nbasicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=%s\n' "$1" "$2" > "$made/$1.wants"
  openssl x509 -req -in "$made/$1.request" -CA "$made/authority" -CAkey "$made/authority.key" -CAcreateserial -days 3650 \
    -extfile "$made/$1.wants" -out "$made/$1" 2> "$made/said" || { cat "$made/said" >&2; exit 1; }
  write "tls_$1_key" "$(cat "$made/$1.key")"
  write "tls_$1" "$(cat "$made/$1")"
}
issue postgres serverAuth
issue redis serverAuth
issue client clientAuth
write tls_authority "$(cat "$made/authority")" # last: it says that all others are there
