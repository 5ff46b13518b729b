#!/bin/sh
# The shop: its tables, then orders without an end. PGHOST, PGPORT and PGUSER say where; SECONDS_MAX and RATE bound it, for tests.
set -eu
here=$(dirname "$0")
psql --no-psqlrc --quiet --dbname postgres --command 'create database shop' || true
psql --no-psqlrc --quiet --dbname shop --set ON_ERROR_STOP=1 --file "$here/shop.sql"
exec pgbench --no-vacuum --client 2 --rate "${RATE:-20}" --time "${SECONDS_MAX:-2000000000}" \
    --file "$here/order.sql@8" --file "$here/ship.sql@4" --file "$here/forget.sql@1" shop
