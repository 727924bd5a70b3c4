# Installs, upgrades and removes the package in a root directory of its own, beside a container that
# lives through all of it. The maintainer's scripts run in there, with a systemctl that notes what it
# is told. Arguments: the package, and the directory.
set -eu
package=$1 root=$2
failed() {
    echo "package: $*" >&2
    exit 1
}
dpkg() { command dpkg --root="$root" --log="$root/dpkg.log" --force-not-root "$@"; }
cais() { chroot "$root" /usr/bin/cais "$@"; }

for folder in bin dev etc proc run sys tmp var/lib/dpkg/info var/lib/dpkg/updates; do
    mkdir -p "$root/$folder"
done
cp "$(command -v busybox)" "$root/bin/busybox"
ln "$root/bin/busybox" "$root/bin/sh"
ln "$root/bin/busybox" "$root/bin/rm"
: >"$root/var/lib/dpkg/status"
for name in systemctl systemd-sysusers; do
    printf '#!/bin/sh\necho %s "$@" >>/told\n' $name >"$root/bin/$name"
    chmod 755 "$root/bin/$name"
done
files() { (cd "$root" && find bin etc usr -type f 2>/dev/null | sort); }
files >"$root.before"
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs tmpfs "$root/run"
mkdir -p "$root/run/systemd/system"
ip link set dev lo up

dpkg --install "$package"
cais version
ran=$(CNI_COMMAND=VERSION chroot "$root" /usr/lib/cni/bridge </dev/null)
case $ran in *'"1.1.0"'*) ;; *) failed "the installed bridge says $ran" ;; esac
diff "$root/told" - <<'END' || failed "told systemd $(cat "$root/told")"
systemd-sysusers cais-dnsd.conf
systemctl daemon-reload
systemctl enable --quiet cais-reload.service
systemctl try-reload-or-restart cais-dnsd.service
systemctl try-restart cais-overlayd.service
END
if command -v systemd-analyze >/dev/null; then
    mkdir "$root.units"
    for unit in "$root"/usr/lib/systemd/system/*; do
        sed "s|^\(Exec[A-Za-z]*\)=/usr/|\1=$root/usr/|" "$unit" >"$root.units/${unit##*/}"
    done
    said=$(SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no "$root.units"/* 2>&1) ||
        failed "units: $said"
    [ -z "$said" ] || failed "units: $said"
fi

# One container by plugins of the reference set's names, and one with the daemons of ours.
cat >"$root/tmp/web.conflist" <<'END'
{ "cniVersion": "1.0.0", "name": "web", "plugins": [
  { "type": "bridge", "bridge": "web0", "isDefaultGateway": true, "ipMasq": true,
    "ipam": { "type": "host-local", "subnet": "10.22.0.0/24" } },
  { "type": "portmap", "capabilities": { "portMappings": true } } ] }
END
cat >"$root/tmp/named.conflist" <<'END'
{ "cniVersion": "1.0.0", "name": "named", "plugins": [
  { "type": "user-bridge", "subnets": [{ "subnet": "10.23.0.0/24" }] } ] }
END
cais netns add c1
cais add --id c1 --capability \
    'portMappings=[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]' /tmp/web.conflist c1
cais add --id c2 --ifname eth1 /tmp/named.conflist c1
nft list tables | grep -q 'inet cais' || failed "no rules of cais beside living containers"

dpkg --install "$package"
nft list tables | grep -q 'inet cais' || failed "an upgrade handed containers back"
cais check --id c1 /tmp/web.conflist c1

: >"$root/told"
dpkg --remove cais
diff "$root/told" - <<'END' || failed "told systemd $(cat "$root/told")"
systemctl disable --quiet --now cais-reload.service cais-dnsd.socket cais-dnsd.service cais-dhcp.socket cais-dhcp.service cais-overlayd.socket cais-overlayd.service
systemctl daemon-reload
END
! nft list tables | grep -q 'inet cais' || failed "rules of cais are left"
nft list table ip nat | grep -q 'dnat to 10.22.0.2:80' || failed "the port is not handed back"
for process in /proc/[0-9]*; do
    case $(readlink "$process/exe") in
    "$root"/usr/*) timeout 10 tail --pid="${process#/proc/}" -f /dev/null || failed "$process still runs" ;;
    esac
done
files | diff "$root.before" - || failed "files are left"
echo "package: installed, upgraded, handed back and removed"
