#!/bin/bash
# unpack-qemu.sh SUITE — unpacks the QEMU of a Debian suite (trixie, trixie-backports), with every library it needs, into
# .cache/qemu-SUITE, and writes .cache/qemu-SUITE/qemu, which runs it on this machine. Nothing is installed.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
. eng/suite.sh

suite=$1
destination=$PWD/.cache/qemu-$suite
[ ! -x "$destination/qemu" ] || exit 0

mkdir -p .cache
work=$(mktemp -d "$PWD/.cache/.qemu-XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/root"
# With every library, since nothing counts as installed.
suite_begin "$suite" "$work/apt"
suite_apt_get --yes --download-only --target-release "$suite" install qemu-system-x86 > /dev/null
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
