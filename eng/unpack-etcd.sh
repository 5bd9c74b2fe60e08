#!/bin/bash
# Unpacks Debian's etcd and etcdctl into .cache/etcd/usr/bin. Installing the package would start a server.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
exec eng/unpack-debian.sh .cache/etcd etcd-server etcd-client
