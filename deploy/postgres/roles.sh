#!/bin/sh
# Every service whose password is in the environment gets its role and its schema. May be run again at any time.
set -eu
here=$(dirname "$0")
for name in $(env | sed -n 's/^\([A-Z]*\)_DB_PASSWORD=.*/\1/p' | sort); do
    SERVICE=$(echo "$name" | tr '[:upper:]' '[:lower:]')
    eval "SERVICE_PASSWORD=\$${name}_DB_PASSWORD"
    export SERVICE SERVICE_PASSWORD
    psql --no-psqlrc --quiet -d postgres -f "$here/roles.sql"
    echo "$SERVICE has its role and its schema"
done
