# shellcheck shell=bash
# Asks a running server whatever its OpenAPI documents allow, by schemathesis. Sourced, not run, after python.sh.
#
# require_schemathesis   fetches schemathesis once into target/schemathesis
# check_schemas          builds, starts the stand-in and a server of its own, and asks through every document; fails on a
#                        server error, on a status that is not documented, and on an answer that is not as documented

schemathesis_packages=(schemathesis==4.32.5)
schema_processes=()
schema_folder=""

require_schemathesis() {
    python_environment target/schemathesis "${schemathesis_packages[@]}"
}

check_schemas() {
    local outcome=0
    cargo build --workspace --locked --quiet || return
    schema_folder=$(mktemp -d "${TMPDIR:-/tmp}/lorakeep-schemas.XXXXXX")
    ask_through_every_document || outcome=$?
    stop_schema_server
    return "$outcome"
}

# Ends what was started; safe to call twice.
stop_schema_server() {
    local process
    for process in "${schema_processes[@]}"; do
        kill "$process" 2>/dev/null && wait "$process" 2>/dev/null
    done
    schema_processes=()
    [[ -z $schema_folder ]] || rm -rf "$schema_folder"
    schema_folder=""
}

ask_through_every_document() {
    local lorakeep=target/debug/lorakeep key=a-key-for-schemas-only-0123456789 server token team_key outcome=0
    export LORAKEEP_JWT_SECRET=a-secret-for-schemas-only-0123456789 LORAKEEP_LOG=warn LORAKEEP_ALLOW_HOSTS=127.0.0.1,localhost

    target/debug/lorakeep-standin --civitai-port 0 --huggingface-port 0 --storage-port 0 --comfyui-port 0 --json \
        >"$schema_folder/standin" &
    schema_processes+=($!)
    first_line "$schema_folder/standin" || return
    from_first_line "$schema_folder/standin" \
        'print(*(f"export {name}={value}" for name, value in line["environment"].items()), sep="\n")' >"$schema_folder/upstreams"
    # shellcheck disable=SC1091
    source "$schema_folder/upstreams"

    API_KEY=$key "$lorakeep" serve --data-dir "$schema_folder/data" --listen 127.0.0.1:0 --json \
        >"$schema_folder/server" 2>"$schema_folder/log" &
    schema_processes+=($!)
    first_line "$schema_folder/server" || return
    server=$(from_first_line "$schema_folder/server" 'print(line["addresses"][0])') || return

    token=$("$lorakeep" --data-dir "$schema_folder/data" token create --role admin --ttl 1h) || return
    "$lorakeep" --server "$server" --key "$key" team create schemas >/dev/null || return
    team_key=$("$lorakeep" --server "$server" --key "$key" --json key create --team schemas | field key) || return
    printf '[{"file": "ink.safetensors", "dest": "loras", "name": "Ink", "base_model": "SDXL 1.0"}]' |
        "$lorakeep" --server "$server" --key "$key" import - >/dev/null || return
    "$lorakeep" --server "$server" --key "$key" style create --name Ink --entry ink.safetensors --public >/dev/null || return

    ask studio "$server" "X-API-Key: $key" || outcome=1
    ask vault "$server" "Authorization: Bearer $token" || outcome=1
    ask public "$server" "X-Api-Key: $team_key" || outcome=1
    return "$outcome"
}

# ask SURFACE SERVER CREDENTIAL
ask() {
    PYTHONPATH=scripts/lib SCHEMATHESIS_HOOKS=schemas_hooks target/schemathesis/bin/schemathesis \
        --config-file scripts/lib/schemas.toml run "$2/openapi/$1.json" \
        --url "$2" --header "$3" --seed 1 --no-color --warnings off
}

# Waits until a program has said on standard output that it is ready.
first_line() {
    local attempt
    for ((attempt = 0; attempt < 300; attempt++)); do
        [[ ! -s $1 ]] || return 0
        sleep 0.1
    done
    echo "nothing came to $1 within 30 s" >&2
    return 1
}

# from_first_line FILE PYTHON   runs it with \`line\` as the JSON of the file's first line
from_first_line() {
    python3 -c "import json; line = json.loads(open('$1').readline()); $2"
}

# A field of the JSON on standard input.
field() {
    python3 -c "import json, sys; print(json.load(sys.stdin)['$1'])"
}
