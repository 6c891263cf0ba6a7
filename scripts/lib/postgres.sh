# shellcheck shell=bash
# A throw-away PostgreSQL server for one run: own folder, own port, own password, no fsync. Sourced, not run.
#
# start_postgres   starts it and exports TEST_DATABASE_URL
# stop_postgres    stops it and removes its folder; safe to call twice

postgres_dir=""

# The newest installed version; Debian keeps the server's programs outside PATH.
postgres_programs() {
    local programs
    programs=$(find /usr/lib/postgresql -path '*/bin/initdb' 2>/dev/null | sort -V | tail -1)
    [[ -n $programs ]] && dirname "$programs"
}

# PostgreSQL refuses to run as root.
as_postgres() {
    if ((EUID == 0)); then
        (cd / && runuser -u postgres -- "$@")
    else
        (cd / && "$@")
    fi
}

start_postgres() {
    local programs password port attempt
    programs=$(postgres_programs)
    password=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    postgres_dir=$(mktemp -d "${TMPDIR:-/tmp}/lorakeep-postgres.XXXXXX")
    printf '%s' "$password" >"$postgres_dir/password"
    ((EUID != 0)) || chown -R postgres: "$postgres_dir"

    as_postgres "$programs/initdb" -D "$postgres_dir/data" -U lorakeep --pwfile="$postgres_dir/password" \
        --auth=password --encoding=UTF8 --locale=C --no-sync >/dev/null || return
    as_postgres tee -a "$postgres_dir/data/postgresql.conf" >/dev/null <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = '$postgres_dir'
max_connections = 300
fsync = off
synchronous_commit = off
full_page_writes = off
CONF
    # A port may be taken between choosing and binding, so a failed start tries another one.
    for attempt in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 12000))
        as_postgres "$programs/pg_ctl" -D "$postgres_dir/data" -l "$postgres_dir/log" -o "-p $port" \
            -w -s start >/dev/null 2>&1 || continue
        export TEST_DATABASE_URL="postgres://lorakeep:$password@127.0.0.1:$port/postgres"
        echo "PostgreSQL from $programs on 127.0.0.1:$port"
        return 0
    done
    echo "PostgreSQL did not start in $attempt attempts; its log:" >&2
    cat "$postgres_dir/log" >&2
    return 1
}

stop_postgres() {
    [[ -n $postgres_dir ]] || return 0
    if [[ -e $postgres_dir/data/postmaster.pid ]]; then
        as_postgres "$(postgres_programs)/pg_ctl" -D "$postgres_dir/data" -m immediate -w -s stop || true
    fi
    rm -rf "$postgres_dir"
    postgres_dir=""
}
