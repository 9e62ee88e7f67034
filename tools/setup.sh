# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What quickstart and check share: packages, and errors that say what to do. Sourced, never run.

# What building needs, what running needs besides, what testing needs besides. Debian 12 names.
BUILD_PACKAGES=(gcc meson ninja-build pkg-config python3
    libcurl4-openssl-dev libedit-dev libhwloc-dev libjansson-dev libnuma-dev
    libssl-dev libyaml-dev libzip-dev opencl-c-headers)
# Where there is a card of AMD's or NVIDIA's, what compiles its kernels.
[ ! -e /dev/kfd ] || BUILD_PACKAGES+=(clang-22 lld-22)
[ ! -e /dev/nvidiactl ] || BUILD_PACKAGES+=(clang-22)
RUN_PACKAGES=(python3-pip ca-certificates)
# shellcheck disable=SC2034 # check uses it
TEST_PACKAGES=(clang clang-22 clang-format git libclang-rt-14-dev libcriterion-dev libmsgpack-dev lld-22 mandoc
    ocl-icd-libopencl1 oclgrind pocl-opencl-icd shellcheck)
# shellcheck disable=SC2034 # likewise; without them one test is skipped
MACHINE_PACKAGES=(busybox cpio qemu-system-x86)

say() { printf '\033[1m==>\033[0m %s\n' "$*" >&2; }

die() {
    printf '\nerror: %s\n' "$1" >&2
    shift
    [ $# -eq 0 ] || printf '       %s\n' "$@" >&2
    exit 1
}

missing_packages() {
    local package
    for package in "$@"; do
        case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
        'install ok installed') ;;
        *) printf '%s ' "$package" ;;
        esac
    done
}

require_debian() {
    local ID=unknown VERSION_ID=0
    # shellcheck disable=SC1091
    [ ! -r /etc/os-release ] || . /etc/os-release
    if command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; then
        [ "$ID $VERSION_ID" = "debian 12" ] ||
            say "this is $ID $VERSION_ID; Ashlar is developed on Debian 12: package names and versions may differ"
        return
    fi
    die "this script installs packages with apt-get; found ${ID} ${VERSION_ID} without it." \
        "Ashlar is developed on Debian 12. Elsewhere install the counterparts of" \
        "${BUILD_PACKAGES[*]} ${RUN_PACKAGES[*]}" \
        "then: meson setup build --buildtype=release -Dtests=false && ninja -C build"
}

# Installs those of the named packages that are not there; asks nobody and reaches no network if all are.
install_packages() {
    require_debian
    local missing sudo=
    missing=$(missing_packages "$@")
    missing=${missing% }
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" -ne 0 ]; then
        sudo=sudo
        # Without a terminal nobody could type the password that sudo may ask for.
        sudo -n true 2>/dev/null || { command -v sudo >/dev/null && [ -t 0 ]; } ||
            die "packages are missing, and this user is neither root nor may use sudo." \
                "Ask your administrator for:" "apt-get install --no-install-recommends $missing"
    fi
    say "installing: $missing"
    # A machine that has just started is often busy with updates of its own.
    local wait=(-o DPkg::Lock::Timeout=300)
    local log
    log=$(mktemp)
    # shellcheck disable=SC2086 # one word a package
    if ! { $sudo apt-get update -qq "${wait[@]}" && $sudo env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq "${wait[@]}" --no-install-recommends $missing; } >"$log" 2>&1; then
        tail -n 5 "$log" >&2
        if grep -qiE 'No space left|not have enough free space' "$log"; then
            die "the disk is full: the packages above need room on /" "$(df -h / | tail -n 1)"
        fi
        die "apt-get could not install: $missing" \
            "If the lines above speak of resolving or connecting, this machine reaches no package" \
            "mirror: connect it, or set a local mirror in /etc/apt/sources.list. Full log: $log"
    fi
    rm -f "$log"
}

# A build needs about 300 MB; running out half-way gives errors that nobody understands.
require_disk() {
    local free_kb
    free_kb=$(df -Pk . | awk 'NR == 2 { print $4 }')
    [ "$free_kb" -ge $(($1 * 1024)) ] ||
        die "too little disk: $1 MB are needed in $PWD, $((free_kb / 1024)) MB are free."
}
