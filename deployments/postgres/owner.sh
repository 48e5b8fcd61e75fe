#!/bin/sh
# Creates the plain role that owns the database, when the volume is new: tactus needs no superuser. In a volume of an
# earlier version tactus was the superuser, and PostgreSQL does not run this script: run its statements as that
# superuser, and then follow docs/roles.md ("From a superuser to a plain role").
set -eu
psql --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" --set=password="$(cat "$OWNER_PASSWORD_FILE")" <<'SQL'
create role tactus_owner login password :'password';
select format('alter database %I owner to tactus_owner', current_database()) \gexec
SQL
