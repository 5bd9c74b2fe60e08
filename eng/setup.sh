#!/bin/bash
# Prepares this checkout: packages, etcd, the guests, native parts, the solution, bin/.
# Idempotent, and quick when nothing is to do. Needs root; says what it does; details go to .cache/setup.log.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

if [ "$(id -u)" != 0 ]; then
  echo "set-up needs root (packages, network namespaces, TAP devices); run it with sudo" >&2
  exit 1
fi
if ! command -v dotnet > /dev/null; then
  echo "the .NET 10 SDK is missing: 'dotnet' is not in PATH; install dotnet-sdk-10.0 first" >&2
  exit 1
fi

mkdir -p .cache out/native bin
# One set-up at a time in a checkout.
exec 9> .cache/setup.lock
flock 9

log=.cache/setup.log
: > "$log"
configuration=${POLLUX_CONFIGURATION:-Release}
packages=(qemu-system-x86 iproute2 nftables tcpdump tini gcc binutils libc6-dev liblz4-1 busybox-static cpio xz-utils procps util-linux)

# step TEXT COMMAND…: runs the command with its output in the log; says how long it took, or shows the log's end.
step() {
  local text=$1 begin=$SECONDS
  shift
  printf '  %s … ' "$text"
  # The lock stays with this script: a compiler server that outlives it must not hold it.
  if "$@" >> "$log" 2>&1 9>&-; then
    printf 'done (%d s)\n' $((SECONDS - begin))
  else
    printf 'failed\n'
    tail -n 30 "$log" >&2
    echo "set-up stopped at: $text (whole log: $log)" >&2
    exit 1
  fi
}

missing_packages() {
  local package
  for package in "${packages[@]}"; do
    if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null)" != installed ]; then
      echo "$package"
    fi
  done
}

update_package_lists() {
  apt-get -q update
}

install_packages() {
  DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "$@"
}

# Package lists are fetched at most once, and only when something must come from them.
package_lists_known() {
  apt-cache show etcd-server linux-image-cloud-amd64 redis-server > /dev/null 2>&1
}

# native/NAME-shim.c becomes a library to preload, any other native/NAME.c a program.
build_native() {
  local source name
  for source in native/*.c; do
    [ -e "$source" ] || continue
    name=$(basename "$source" .c)
    case $name in
      *-shim) compile_newer "$source" "out/native/$name.so" -shared -fPIC ;;
      *) compile_newer "$source" "out/native/$name" ;;
    esac
  done
}

compile_newer() {
  local source=$1 target=$2
  shift 2
  [ "$target" -nt "$source" ] || gcc -O2 -Wall "$@" -o "$target" "$source" -ldl -lpthread
}

solution_changed() {
  local stamp=out/built-$configuration
  [ ! -f "$stamp" ] || [ -n "$(find src tests bench *.props *.slnx global.json BannedSymbols.txt .editorconfig \
    -newer "$stamp" -type f -print -quit 2> /dev/null)" ]
}

build_solution() {
  local stamp=out/built-$configuration
  touch "$stamp.begun"
  # The compiler server makes the build three times faster; it ends by itself when idle.
  UseSharedCompilation=true dotnet build Pollux.slnx -c "$configuration" -v quiet -nologo -nodeReuse:false
  mv "$stamp.begun" "$stamp"
}

# bin/NAME starts the built program from any directory, also through symbolic links.
write_launcher() {
  local name=$1 project=$2
  cat > "bin/$name.new" <<LAUNCHER
#!/bin/sh
root=\$(dirname "\$(readlink -f "\$0")")/..
export DOTNET_ROOT="\${DOTNET_ROOT:-$dotnet_root}"
# Without the diagnostics port a killed process leaves no pipe behind.
export DOTNET_EnableDiagnostics=0
exec "\$root/out/bin/$project/\${POLLUX_CONFIGURATION:-$configuration}/net10.0/$name" "\$@"
LAUNCHER
  chmod 755 "bin/$name.new"
  mv "bin/$name.new" "bin/$name"
}

write_launchers() {
  local dotnet_root
  dotnet_root=$(dirname "$(readlink -f "$(command -v dotnet)")")
  write_launcher pollux Pollux.Cli
  write_launcher polluxd Pollux.Agent
  write_launcher pollux-keeper Pollux.Keeper
}

echo "Set-up"
mapfile -t missing < <(missing_packages)
if [ "${#missing[@]}" != 0 ] || ! package_lists_known; then
  step "package lists" update_package_lists
fi
if [ "${#missing[@]}" != 0 ]; then
  step "packages: ${missing[*]}" install_packages "${missing[@]}"
fi
step "etcd (unpacked, not installed)" eng/unpack-etcd.sh
step "Redis guest" guest/build-redis.sh
step "32-bit guest" guest/build-boot32.sh
step "native parts" build_native
if solution_changed; then
  step "solution, $configuration" build_solution
fi
write_launchers
