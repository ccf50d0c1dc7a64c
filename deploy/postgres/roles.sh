#!/bin/sh
# Every service whose password is among the secrets gets its role and its schema. May be run again at any time.
set -eu
here=$(dirname "$0")
PGPASSWORD=$(cat /run/secrets/postgres_password)
export PGPASSWORD
for file in /run/secrets/*_db_password; do
    SERVICE=$(basename "$file" _db_password)
    SERVICE_PASSWORD=$(cat "$file")
    export SERVICE SERVICE_PASSWORD
    psql --no-psqlrc --quiet -d postgres -f "$here/roles.sql"
    echo "$SERVICE has its role and its schema"
done
