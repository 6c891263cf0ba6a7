# shellcheck shell=bash
# A Python with numpy and safetensors, for independent computations. Sourced, not run, after needs.sh.
#
# need_python      notes the Debian packages that it takes
# require_python   makes the environment below target/ once and exports TEST_PYTHON

python_packages=(numpy==2.3.5 safetensors==0.7.0)

need_python() {
    need python3 python3
    need '/usr/lib/python3*/ensurepip' python3-venv
    need '/usr/share/python-wheels/pip*.whl' python3-venv
}

require_python() {
    local folder=target/python
    export TEST_PYTHON="$PWD/$folder/bin/python"
    if [[ "$(cat "$folder/packages" 2>/dev/null)" == "${python_packages[*]}" ]]; then
        return 0
    fi
    rm -rf "$folder"
    python3 -m venv "$folder" || return
    if ! "$TEST_PYTHON" -m pip install --quiet --disable-pip-version-check --only-binary=:all: \
        "${python_packages[@]}"; then
        echo "the packages ${python_packages[*]} could not be fetched: the tests compare with numpy, so they" \
            "need the Python package index once; check the network (or PIP_INDEX_URL) and run again" >&2
        return 1
    fi
    printf '%s' "${python_packages[*]}" >"$folder/packages"
}
