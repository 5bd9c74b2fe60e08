#!/bin/bash
# build-redis.sh [SUITE] — builds the Redis guest into .cache/guests/redis, or, with the kernel of another Debian suite (trixie), into
# .cache/guests/redis-SUITE: vmlinuz (Debian's cloud kernel) and initrd.gz
# (busybox, the virtio modules, Redis and the libraries it links), and initrd-chrony.gz, which has chrony too. All that
# comes from Debian is unpacked, never installed.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

cache=$PWD/.cache
suite=${1:-}
output=$cache/guests/redis${suite:+-$suite}
kernel=$cache/kernel${suite:+-$suite}
source_files=(guest/build-redis.sh guest/redis/*)
fingerprint=$(cat "${source_files[@]}" | sha256sum | cut -d' ' -f1)
if [ -f "$output/fingerprint" ] && [ "$(cat "$output/fingerprint")" = "$fingerprint" ]; then
  exit 0
fi

cloud_kernel() {
  sed -n 's/^ *Depends: \(linux-image-[^ ]*-cloud-amd64\)$/\1/p' | head -1
}

if [ -z "$suite" ]; then
  kernel_package=$(apt-cache depends linux-image-cloud-amd64 | cloud_kernel)
  if [ -z "$kernel_package" ]; then
    echo "apt knows no linux-image-cloud-amd64; run 'apt-get update' and check that Debian's sources are enabled" >&2
    exit 1
  fi
  eng/unpack-debian.sh "$kernel" "$kernel_package"
elif [ ! -d "$kernel" ]; then
  . eng/suite.sh
  unpacked=$(mktemp -d "$cache/.kernel-XXXXXX")
  trap 'rm -rf "$unpacked"' EXIT
  suite_begin "$suite" "$unpacked/apt"
  kernel_package=$(suite_apt_cache depends linux-image-cloud-amd64 | cloud_kernel)
  (cd "$unpacked" && suite_apt_get download "$kernel_package" && dpkg-deb -x linux-image-*.deb root)
  chmod 755 "$unpacked/root"
  mv "$unpacked/root" "$kernel"
  rm -rf "$unpacked"
fi
eng/unpack-debian.sh "$cache/chrony" chrony libgnutls30 libhogweed6 libnettle8 libseccomp2 libcap2
eng/unpack-debian.sh "$cache/redis" redis-server redis-tools libatomic1 libjemalloc2 liblzf1 libssl3 libsystemd0

work=$(mktemp -d "$cache/.guest-XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/root
mkdir -p "$root"/{bin,dev,etc,lib/modules,proc,sys,usr/bin}

cp /bin/busybox "$root/bin/busybox"
cp guest/redis/redis.conf "$root/etc/redis.conf"
install -m 755 guest/redis/init "$root/init"
for program in beacon checksum churn dirty supervise; do
  gcc -O2 -Wall -static -s -o "$root/bin/$program" "guest/redis/$program.c"
done

modules=$(echo "$kernel"/lib/modules/*/kernel "$kernel"/usr/lib/modules/*/kernel | tr ' ' '\n' | grep -v '\*' | head -1)
for module in virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci failover net_failover virtio_net button evdev llc stp garp mrp 8021q macvlan; do
  found=$(find "$modules" -name "$module.ko" -o -name "$module.ko.xz" | head -1)
  case $found in
    *.ko) cp "$found" "$root/lib/modules/" ;;
    *.xz) xz -dc "$found" > "$root/lib/modules/$module.ko" ;;
    # What is built in needs no module.
    *) grep -q "/$module.ko$" "${modules%/kernel}/modules.builtin" || { echo "the kernel in $kernel has no $module" >&2; exit 1; } ;;
  esac
done

# program ROOT UNPACKED PROGRAM TARGET: the program and every library it loads, at the paths where the loader looks for them.
program() {
  local root=$1 unpacked=$2 program=$2/$3 target=$4 libraries library
  mkdir -p "$(dirname "$root/$target")" "$root/lib/x86_64-linux-gnu"
  cp "$program" "$root/$target"
  libraries=$(LD_LIBRARY_PATH=$unpacked/usr/lib/x86_64-linux-gnu:$unpacked/lib/x86_64-linux-gnu ldd "$program")
  if grep -q 'not found' <<< "$libraries"; then
    printf '%s lacks libraries:\n%s\n' "$program" "$libraries" >&2
    exit 1
  fi
  for library in $(grep -o '=> /[^ ]*' <<< "$libraries" | cut -c4-); do
    cp -L "$library" "$root/lib/x86_64-linux-gnu/"
  done
}
program "$root" "$cache/redis" usr/bin/redis-check-rdb usr/bin/redis-server
mkdir -p "$root/lib64"
cp -L /lib64/ld-linux-x86-64.so.2 "$root/lib64/"

overlay=$work/chrony
mkdir -p "$overlay/run" "$overlay/var/lib/chrony" "$overlay/etc"
program "$overlay" "$cache/chrony" usr/sbin/chronyd usr/sbin/chronyd
echo 'root:x:0:0::/:/bin/sh' > "$overlay/etc/passwd"

mkdir -p "$work/out"
(cd "$root" && find . | cpio --quiet -o -H newc -R 0:0) | gzip -1 > "$work/out/initrd.gz"
# The kernel unpacks one archive after the other.
{ cat "$work/out/initrd.gz"; (cd "$overlay" && find . | cpio --quiet -o -H newc -R 0:0) | gzip -1; } > "$work/out/initrd-chrony.gz"
cp "$kernel"/boot/vmlinuz-* "$work/out/vmlinuz"
echo "$fingerprint" > "$work/out/fingerprint"
mkdir -p "$cache/guests"
rm -rf "$output"
chmod 755 "$work/out"
mv "$work/out" "$output"
