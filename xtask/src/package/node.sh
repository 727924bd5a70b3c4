# The containers of the manifests, each with its command line in a root as its image and its volumes
# make it, on a node that is a directory. Arguments: target/dist/bin, the folder to work in, and the
# image's entry point; what follows this text calls `container` for each.
set -eu
bin=$1 work=$2 entry=$3
node=$work/node image=$work/image
failed() {
    echo "manifests: $*" >&2
    exit 1
}
mkdir -p "$node/run" "$node/var/lib/cni" "$image/opt/cais/bin" "$image/proc" "$image/sys"
mount -t tmpfs tmpfs "$node/run"
mount --make-shared "$node/run"
cp "$bin"/* "$image/opt/cais/bin/"
ip link set dev lo up

# Called with `ro` or `rw`, the capabilities, and `source:target[:ro]` of each volume, then `--` and the
# arguments.
container() {
    mode=$1 rights=$2 root=$work/root
    shift 2
    mkdir -p "$root"
    mount -t tmpfs tmpfs "$root"
    cp -a "$image/." "$root"
    mount --rbind /proc "$root/proc"
    mount -t sysfs sysfs "$root/sys"
    while [ "$1" != -- ]; do
        from=${1%%:*} to=${1#*:}
        mkdir -p "$from" "$root/${to%:ro}"
        mount --rbind "$from" "$root/${to%:ro}"
        case $to in *:ro) mount -o remount,bind,ro "$root/${to%:ro}" ;; esac
        shift
    done
    shift
    [ "$mode" = rw ] || mount -o remount,ro "$root"
    # The right to change its root is what chroot itself needs.
    cais="setpriv --bounding-set=$rights chroot $root $entry"
    case " $* " in
    *" --stay "*)
        rm -f "$work/said"
        mkfifo "$work/said"
        $cais "$@" >"$work/said" &
        pid=$!
        while read -r line; do
            case $line in *"programs of cais") break ;; esac
        done <"$work/said"
        kill "$pid" || failed "$* did not stay"
        wait "$pid" || failed "$* did not end well"
        ;;
    *) $cais "$@" || failed "$*" ;;
    esac
    # What was mounted in the volumes stays on the node.
    mount --make-rprivate "$root"
    umount -R "$root"
}

# The host's view: what a runtime on the node would call.
on_node() {
    container rw +all "$node/opt/cni/bin:/opt/cni/bin" "$node/etc/cni/net.d:/etc/cni/net.d" \
        "$node/run:/run" "$node/var/lib/cni:/var/lib/cni" -- "$@"
}

is_installed() {
    for program in "$bin"/*; do
        cmp "$program" "$node/opt/cni/bin/${program##*/}" || failed "a program is not there"
    done
    on_node netns add c1
    on_node add --id c1 --capability \
        'portMappings=[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]' pods c1
    nft list tables | grep -q 'inet cais' || failed "no rules of cais beside a living container"
}

is_gone() {
    left=$(find "$node/opt/cni/bin" "$node/etc/cni/net.d" -type f)
    [ -z "$left" ] || failed "left on the node: $left"
    ! nft list tables | grep -q 'inet cais' || failed "rules of cais are left"
    nft list table ip nat | grep -q 'dnat to 10.88.0.2:80' || failed "the port is not handed back"
    echo "manifests: installed, handed back and uninstalled"
}
