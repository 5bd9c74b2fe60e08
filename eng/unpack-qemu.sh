#!/bin/bash
# unpack-qemu.sh SUITE — unpacks the QEMU of a Debian suite (trixie, trixie-backports), with every library it needs, into
# .cache/qemu-SUITE, and writes .cache/qemu-SUITE/qemu, which runs it on this machine. Nothing is installed.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

suite=$1
release=${suite%-backports}
destination=$PWD/.cache/qemu-$suite
[ ! -x "$destination/qemu" ] || exit 0

mirror=$(sed -n "s/^URIs: *//p; s/^deb \(http[^ ]*\) .*/\1/p" /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2> /dev/null | head -1 || true)
mirror=${mirror:-http://deb.debian.org/debian}
mkdir -p .cache
work=$(mktemp -d "$PWD/.cache/.qemu-XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/apt/{etc/preferences.d,state/lists/partial,cache/archives/partial} "$work/root"
{
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main"
  [ "$suite" = "$release" ] || echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
} > "$work/apt/etc/sources.list"
: > "$work/apt/status"

# An apt of its own, which believes that nothing is installed and so fetches every library.
options=(-qq -o APT::Sandbox::User=root -o Dir::Etc="$work/apt/etc" -o Dir::Etc::sourcelist="$work/apt/etc/sources.list" -o Dir::Etc::sourceparts=- -o Dir::State="$work/apt/state"
  -o Dir::State::status="$work/apt/status" -o Dir::Cache="$work/apt/cache" -o APT::Install-Recommends=false)
apt-get "${options[@]}" update
apt-get "${options[@]}" --yes --download-only --target-release "$suite" install qemu-system-x86 > /dev/null
for deb in "$work"/apt/cache/archives/*.deb; do
  dpkg-deb -x "$deb" "$work/root"
done

loader=$(cd "$work/root" && find usr/lib64 usr/lib -name 'ld-linux-x86-64.so.2' | head -1)
cat > "$work/root/qemu" <<RUN
#!/bin/sh
# The loader and libraries beside it, not this machine's.
root=\$(dirname "\$(readlink -f "\$0")")
export QEMU_MODULE_DIR="\$root/usr/lib/x86_64-linux-gnu/qemu"
exec "\$root/$loader" --library-path "\$root/usr/lib/x86_64-linux-gnu" "\$root/usr/bin/qemu-system-x86_64" -L "\$root/usr/share/qemu" -L "\$root/usr/share/seabios" "\$@"
RUN
chmod 755 "$work/root" "$work/root/qemu"
rm -rf "$destination"
mv "$work/root" "$destination"
