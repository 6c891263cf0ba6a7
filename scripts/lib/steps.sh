# shellcheck shell=bash
# Runs steps under headings and tells at the end how long each took. Sourced, not run.
#
# step TITLE COMMAND…   runs one step; a failing one is noted and its exit code returned
# print_summary         one line a step

step_lines=()

step() {
    local title=$1 started=$SECONDS outcome=0
    shift
    printf '\n== %s: %s\n' "$title" "$*"
    "$@" || outcome=$?
    local word=ok
    ((outcome == 0)) || word="failed ($outcome)"
    step_lines+=("$(printf '%-12s %4d s  %s' "$title" $((SECONDS - started)) "$word")")
    return "$outcome"
}

print_summary() {
    ((${#step_lines[@]})) || return 0
    printf '\n== summary\n'
    printf '%s\n' "${step_lines[@]}"
}
