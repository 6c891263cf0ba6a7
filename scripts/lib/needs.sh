# shellcheck shell=bash
# Installs Debian packages that a script needs and that are missing. Sourced, not run.
#
# need COMMAND PACKAGE   notes the package when the command (or path, which may hold wildcards) is not there
# install_needs          installs what was noted; no package may start a service meanwhile

PATH="$HOME/.cargo/bin:$PATH:/usr/local/sbin:/usr/sbin:/sbin"
missing_packages=()
policy_file=/usr/sbin/policy-rc.d

need() {
    if [[ $1 == /* ]]; then
        compgen -G "$1" >/dev/null || missing_packages+=("$2")
    else
        command -v "$1" >/dev/null || missing_packages+=("$2")
    fi
}

install_needs() {
    ((${#missing_packages[@]})) || return 0
    echo "installing from Debian: ${missing_packages[*]}"
    if ! command -v apt-get >/dev/null; then
        echo "this machine has no apt-get: install ${missing_packages[*]} by hand and try again" >&2
        return 1
    fi
    (
        trap allow_service_starts EXIT
        forbid_service_starts
        as_root apt-get update -qq
        as_root apt-get install -y -qq --no-install-recommends "${missing_packages[@]}" >/dev/null
    )
    missing_packages=()
}

as_root() {
    if ((EUID == 0)); then
        env DEBIAN_FRONTEND=noninteractive "$@"
    elif command -v sudo >/dev/null; then
        sudo env DEBIAN_FRONTEND=noninteractive "$@"
    else
        echo "installing packages needs root or sudo: run as root once, or install ${missing_packages[*]}" >&2
        return 1
    fi
}

# Debian asks this program before it starts a service; 101 means "not now". A policy that was there comes back
# afterwards, and services that already run are left alone.
forbid_service_starts() {
    [[ ! -e $policy_file ]] || as_root mv "$policy_file" "$policy_file.lorakeep-saved"
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy_file" >/dev/null
    as_root chmod 755 "$policy_file"
}

allow_service_starts() {
    if [[ -e $policy_file.lorakeep-saved ]]; then
        as_root mv "$policy_file.lorakeep-saved" "$policy_file"
    else
        as_root rm -f "$policy_file"
    fi
}

# Rust comes from rustup, not from Debian, whose compiler is older than the one in Cargo.toml.
require_rust() {
    local tool
    for tool in "cargo --version" "cargo fmt --version" "cargo clippy --version"; do
        $tool >/dev/null 2>&1 && continue
        echo "\`$tool\` does not work: install Rust with rustup (https://rustup.rs), then" \
            "\`rustup component add rustfmt clippy\`" >&2
        return 1
    done
}
