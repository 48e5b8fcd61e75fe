#!/bin/sh
# Makes the plain role that owns the database, once, when the volume is new: nothing of tactus needs a superuser. In a volume
# of an earlier version tactus was the superuser, and nobody runs this: do what it does, as that one, and then what
# docs/roles.md says ("From a superuser to a plain role").
set -eu
psql --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" --set=password="$(cat "$OWNER_PASSWORD_FILE")" <<'SQL'
create role tactus_owner login password :'password';
select format('alter database %I owner to tactus_owner', current_database()) \gexec
SQL
