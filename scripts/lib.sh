# Pieces that the scripts share; to be sourced by bash.

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
    say "$*"
    exit 2
}

require_root() {
    [ "$(id -u)" = 0 ] || die "needs root, for it makes network namespaces and TAP devices: run it as root or with sudo"
}

# Only the kernel can provide these: one clear line, and no attempt.
require_kernel() {
    [ -c /dev/net/tun ] || die "no /dev/net/tun: load the module (modprobe tun), or pass the device into this container"
    local probe="knprobe$$"
    ip netns add "$probe" || die "cannot make a network namespace: this container needs the privilege (CAP_SYS_ADMIN)"
    local problem=
    ip -n "$probe" link add port0 type veth peer name port1 || problem="no veth devices (module veth)"
    ip -n "$probe" link add bridge0 type bridge || problem="no bridges (module bridge)"
    printf '%s\n' 'table netdev probe {' 'chain out {' 'type filter hook egress device "port0" priority 0' \
        'meta l4proto udp drop' '}' '}' | ip netns exec "$probe" nft -f - || problem="no nftables netdev hooks (Linux 5.16 or newer)"
    ip netns delete "$probe"
    [ -z "$problem" ] || die "this kernel offers $problem"
}

# require_programs "PROGRAM:PACKAGE PACKAGE..." ... installs the packages of the programs that are missing.
require_programs() {
    local pair packages missing=()
    for pair in "$@"; do
        command -v "${pair%%:*}" >/dev/null || read -ra packages <<<"${pair#*:}" && missing+=("${packages[@]}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "install these first (there is no apt-get here): ${missing[*]}"
    say "installing with apt-get: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq || die "apt-get update failed"
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null || die "apt-get install failed: ${missing[*]}"
}

require_cargo() {
    command -v cargo >/dev/null || {
        # sudo does not keep the PATH that rustup has set.
        local home
        for home in "$HOME" "$(getent passwd "${SUDO_USER:-root}" | cut -d: -f6)"; do
            [ -x "$home/.cargo/bin/cargo" ] && PATH="$home/.cargo/bin:$PATH" && break
        done
    }
    command -v cargo >/dev/null || die "no cargo: install Rust from https://rustup.rs first"
}

# What laboratories and the programs in them need.
require_laboratory() {
    require_root
    require_cargo
    require_programs 'cc:gcc libc6-dev' ip:iproute2 nft:nftables ping:iputils-ping tcpdump:tcpdump \
        iperf3:iperf3 "$@"
    require_kernel
}

target_directory() { printf '%s\n' "${CARGO_TARGET_DIR:-target}"; }

# A laboratory whose owner was ended by a signal is removed by its guardian: wait until that is done.
wait_for_removal() {
    local deadline=$((SECONDS + 10)) namespace owner left
    while [ "$SECONDS" -lt "$deadline" ]; do
        left=
        for namespace in $(ip netns list | cut -d' ' -f1 | grep -E '^kn[0-9]+x[0-9]+-'); do
            owner=${namespace#kn}
            [ -e "/proc/${owner%%x*}" ] || left=$namespace
        done
        [ -n "$left" ] || return 0
        sleep 0.1
    done
}
