# shellcheck shell=bash
# A Python with numpy and safetensors, for independent computations, and environments like it. Sourced, not run, after
# needs.sh.
#
# need_python      notes the Debian packages that it takes
# require_python   makes the environment below target/ once and exports TEST_PYTHON
# python_environment FOLDER PACKAGE…   makes another one

python_packages=(numpy==2.3.5 safetensors==0.7.0)

need_python() {
    need python3 python3
    need '/usr/lib/python3*/ensurepip' python3-venv
    need '/usr/share/python-wheels/pip*.whl' python3-venv
}

require_python() {
    export TEST_PYTHON="$PWD/target/python/bin/python"
    python_environment target/python "${python_packages[@]}"
}

# python_environment FOLDER PACKAGE…   makes an environment with exactly these, unless it is there
python_environment() {
    local folder=$1
    shift
    if [[ "$(cat "$folder/packages" 2>/dev/null)" == "$*" ]]; then
        return 0
    fi
    rm -rf "$folder"
    python3 -m venv "$folder" || return
    if ! "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary=:all: "$@"; then
        echo "the packages $* could not be fetched: tests need them from the Python package index once; check the" \
            "network (or PIP_INDEX_URL) and run again" >&2
        return 1
    fi
    printf '%s' "$*" >"$folder/packages"
}
