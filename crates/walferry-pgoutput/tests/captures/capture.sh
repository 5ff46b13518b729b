#!/bin/bash
# Makes captures anew: capture.sh HOST PORT NAME...
#
# Needs psql and a server that is only for this: wal_level=logical, max_prepared_transactions=10,
# logical_decoding_work_mem=64kB, user postgres trusted. Each NAME.sql runs in a fresh database and
# leaves NAME.hex; of NAME-SERVER, NAME.sql is the script. With `-- options:` the script asks for messages by itself (:get), and the file
# has lines of an LSN and a message. With `-- live:` a walsender streams while the script runs, and
# the file has the bytes of the socket.
# Then look at the difference that `UPDATE_EXPECTED=1 cargo test -p walferry-pgoutput` makes.
set -euo pipefail
cd "$(dirname "$0")"
host=$1 port=$2
shift 2
export PGOPTIONS='-c lock_timeout=5s -c client_min_messages=warning'

run() { timeout 60 psql -XqAt -v ON_ERROR_STOP=1 -h "$host" -p "$port" -U postgres "$@"; }

# Start-up with replication=database, START_REPLICATION, then all bytes until the script is done.
live() {
    local sql="START_REPLICATION SLOT capture LOGICAL 0/0 (publication_names 'p', $1)"
    local ready="select count(*) from pg_replication_slots where confirmed_flush_lsn is not null"
    until [ "$(run -d postgres -c "$ready")" = 1 ]; do sleep 0.1; done
    exec 3<>"/dev/tcp/$host/$port"
    printf '\0\0\0\x3d\0\3\0\0user\0postgres\0database\0capture\0replication\0database\0\0' >&3
    printf 'Q\0\0\0\x'"$(printf %x $((${#sql} + 5)))"'%s\0' "$sql" >&3
    # Frames begin behind CopyBothResponse.
    { timeout 8 cat <&3 || true; } | xxd -p | tr -d '\n' | sed 's/.*5700000007000000//' | fold -w 100
    exec 3<&-
}

for name in "$@"; do
    script="${name%-*}.sql"
    run -d postgres -c 'drop database if exists capture' -c 'create database capture'
    options=$(sed -n 's/^-- options: //p' "$script")
    live=$(sed -n 's/^-- live: //p' "$script")
    get="select lsn || ' ' || encode(data, 'hex') from pg_logical_slot_get_binary_changes(
        'capture', null, null, 'publication_names', 'p', $options)"
    dblink="host=$host port=$port user=postgres dbname=capture"
    if [ -n "$live" ]; then live "$live" >"$name.hex" & fi
    run -d capture -v get="$get" -v dblink="$dblink" -f "$script" >"$name.out"
    wait
    if [ -z "$live" ]; then mv "$name.out" "$name.hex"; else rm "$name.out"; fi
    run -d capture -c "select pg_drop_replication_slot('capture')" >/dev/null
    run -d postgres -c 'drop database capture'
done
