# Sourced. An apt of its own for a Debian suite (bookworm, trixie, trixie-backports), which believes that nothing is installed. Nothing is.

# suite_begin SUITE DIRECTORY: prepares it in DIRECTORY; then suite_apt_get and suite_apt_cache know that suite.
suite_begin() {
  local suite=$1 directory=$2 release=${1%-backports} mirror
  mirror=$(sed -n "s/^URIs: *//p; s/^deb \(http[^ ]*\) .*/\1/p" /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2> /dev/null | head -1 || true)
  mirror=${mirror:-http://deb.debian.org/debian}
  mkdir -p "$directory"/{etc/preferences.d,state/lists/partial,cache/archives/partial}
  {
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main"
    [ "$suite" = "$release" ] || echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
  } > "$directory/etc/sources.list"
  : > "$directory/status"
  suite_options=(-o APT::Sandbox::User=root -o Dir::Etc="$directory/etc" -o Dir::Etc::sourcelist="$directory/etc/sources.list" -o Dir::Etc::sourceparts=-
    -o Dir::State="$directory/state" -o Dir::State::status="$directory/status" -o Dir::Cache="$directory/cache" -o APT::Install-Recommends=false)
  suite_apt_get update
}

suite_apt_get() {
  apt-get -qq "${suite_options[@]}" "$@"
}

suite_apt_cache() {
  apt-cache "${suite_options[@]}" "$@"
}
