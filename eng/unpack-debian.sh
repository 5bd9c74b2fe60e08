#!/bin/bash
# unpack-debian.sh DESTINATION PACKAGE… — downloads Debian packages and unpacks them into DESTINATION.
# Nothing is installed, so no maintainer script runs and no server starts.
# DESTINATION appears whole or not at all, and is left alone when it holds these packages already.
set -euo pipefail

destination=$1
shift

if [ -f "$destination/.packages" ] && [ "$(cat "$destination/.packages")" = "$*" ]; then
  exit 0
fi

parent=$(dirname "$destination")
mkdir -p "$parent"
work=$(mktemp -d "$parent/.unpack-XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/debs" "$work/root"
chmod 755 "$work" "$work/debs"

# apt drops to its own user for downloads and complains when it cannot enter the directory; root may do without.
if ! (cd "$work/debs" && apt-get -qq -o APT::Sandbox::User=root download "$@"); then
  echo "cannot download $*; run 'apt-get update' and check the package sources" >&2
  exit 1
fi
for deb in "$work"/debs/*.deb; do
  dpkg-deb -x "$deb" "$work/root"
done
echo "$*" > "$work/root/.packages"
chmod 755 "$work/root"
rm -rf "$destination"
mv "$work/root" "$destination"
