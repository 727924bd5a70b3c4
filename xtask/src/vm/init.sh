#!/bin/busybox sh
# PID 1 of the emulated guest: mounts what a system has, loads modules, runs the job and says over
# the second serial line how it ended. A guest that dies before says nothing, which is a failure.
/bin/busybox mkdir -p /proc /sys /dev /run /tmp /var/lib /var/tmp /root /applets
/bin/busybox --install -s /applets
export PATH=/bin:/applets HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
for place in /run /tmp /dev/shm; do mount -t tmpfs tmpfs "$place"; done
mkdir -p /run/netns

while read -r module; do
    insmod "/modules/$module" || echo "guest: module $module does not load"
done </modules/order

ip link set lo up
echo "guest: Linux $(uname -r), up in $(cut -d' ' -f1 /proc/uptime) s"
/bin/sh /job </dev/null
code=$?
echo "guest: the job ended with $code after $(cut -d' ' -f1 /proc/uptime) s"
echo "$code" >/dev/ttyS1
sync
poweroff -f
