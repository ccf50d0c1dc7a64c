#!/bin/sh
# Create the role and the schema of every service that has a password among the secrets. Safe to run repeatedly.
set -eu
here=$(dirname "$0")
PGPASSWORD=$(cat /run/secrets/postgres_password)
export PGPASSWORD
for file in /run/secrets/*_db_password; do
    SERVICE=$(basename "$file" _db_password)
    SERVICE_PASSWORD=$(cat "$file")
    export SERVICE SERVICE_PASSWORD
    psql --no-psqlrc --quiet -d postgres -f "$here/roles.sql"
    echo "role and schema of $SERVICE are up to date"
done
