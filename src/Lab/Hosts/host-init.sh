#!/bin/sh
# The first program of a lab host: init.sh NAME STATE
# It runs as root of the host's own mount, PID, UTS and IPC namespaces. STATE is the host's directory in the lab's state:
#   disk/      survives power-off, as a disk would
#   log/       what the services say
#   etc/       becomes /etc/pollux
#   services   shell text that starts the services with keep
# The host sees it as /run/host. Its /run, /dev/shm and /etc/pollux are its own and empty at each power-on.
set -eu
name=$1
state=$2

echo "$name" > /proc/sys/kernel/hostname

# -n everywhere: mount's own table lies in /run, which is being exchanged.
# A /sys that shows this host's interfaces, with the machine's cgroups as before.
mount -n -t tmpfs -o mode=755 staging "$state/mount"
mkdir "$state/mount/sys" "$state/mount/run"
mount -n -t sysfs sysfs "$state/mount/sys"
mount -n --rbind /sys/fs/cgroup "$state/mount/sys/fs/cgroup"
mount -n --move "$state/mount/sys" /sys

mount -n -t tmpfs -o mode=1777 shm /dev/shm

mount -n -t tmpfs -o mode=755 run "$state/mount/run"
mkdir "$state/mount/run/host" "$state/mount/run/etc-new" "$state/mount/run/etc-work"
mount -n --bind "$state" "$state/mount/run/host"
# Named network namespaces of the machine would be held alive by this host's copy of their mounts.
umount -n -l -R /run/netns 2> /dev/null || true
mount -n --move "$state/mount/run" /run

mount -n -t overlay -o lowerdir=/etc,upperdir=/run/etc-new,workdir=/run/etc-work etc /etc
rm -rf /etc/pollux
mkdir /etc/pollux
cp -a /run/host/etc/. /etc/pollux/

# keep UNIT COMMAND…: starts the command again whenever it ends, as systemd would, but not while /run/host/held/UNIT is there.
keep() {
  unit=$1
  shift
  while :; do
    while [ -e "/run/host/held/$unit" ]; do
      sleep 0.1
    done
    status=0
    "$@" < /dev/null >> "/run/host/log/$unit.log" 2>&1 || status=$?
    echo "--- $(date '+%T.%3N') $unit ended with status $status" >> "/run/host/log/$unit.log"
    sleep 0.5
  done
}

. /run/host/services
echo "$name is up"
wait
