#!/usr/bin/env bash
# Installs the package in a fresh Debian and runs it there: systemd/package-test.sh [PACKAGE.deb]
#
# Needs root, debootstrap and the network (for Debian's packages). The tree is kept in .dev/debian for the next time and
# only copied; nothing outside it is touched.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { printf 'error: %s\n' "$1" >&2; [ $# -lt 2 ] || printf 'hint: %s\n' "$2" >&2; exit 1; }
deb=${1:-$(ls -t target/debian/gridwatch_*.deb 2>/dev/null | head -n 1)}
[ -e "$deb" ] || fail "there is no package" "./dev package"
[ "$(id -u)" = 0 ] || fail "chroot needs root"
command -v debootstrap >/dev/null || fail "debootstrap is missing" "apt-get install debootstrap"

release=$(. /etc/os-release && echo "$VERSION_CODENAME")
base=.dev/debian/$release
if [ ! -e "$base.complete" ]; then
    rm -rf "$base" && mkdir -p .dev/debian
    debootstrap --variant=minbase "$release" "$base" >.dev/debian/log || fail "debootstrap failed" "see .dev/debian/log"
    touch "$base.complete"
fi
tree=$(mktemp -d "$PWD/.dev/debian/run.XXXXXX")
cleanup() {
    umount "$tree/proc" 2>/dev/null || true
    rm -rf --one-file-system "$tree"
}
trap cleanup EXIT
cp -a "$base/." "$tree/"
mount -t proc proc "$tree/proc"
within() { chroot "$tree" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"; }
as_gridwatch() { within setpriv --reuid gridwatch --regid gridwatch --clear-groups "$@"; }
step() { printf '\n== %s\n' "$*"; }

step "install"
cp "$deb" "$tree/tmp/gridwatch.deb"
cp /etc/resolv.conf "$tree/etc/resolv.conf"
within apt-get -q update >/dev/null
within apt-get -q install -y --no-install-recommends /tmp/gridwatch.deb
missing=$(within ldd /usr/bin/gridwatch | grep 'not found' || true)
[ -z "$missing" ] || fail "libraries are missing: $missing"
within du -shL /usr/bin/gridwatch /usr/lib/gridwatch/libonnxruntime.so

step "check, inspect"
install -d -o "$(within id -u gridwatch)" -g "$(within id -g gridwatch)" "$tree/var/lib/gridwatch"
as_gridwatch gridwatch --version
as_gridwatch gridwatch check /etc/gridwatch/gridwatch.toml
as_gridwatch gridwatch models inspect /usr/share/gridwatch/models/street-v2.onnx

step "run for five seconds, then stop it"
as_gridwatch gridwatch run --config /etc/gridwatch/gridwatch.toml >"$tree/tmp/log" 2>&1 &
shell=$!
sleep 5
daemon=$(pgrep -f -P "$shell" 'gridwatch run' || echo "$shell")
kill -0 "$daemon" 2>/dev/null || { cat "$tree/tmp/log"; fail "it ended by itself"; }
grep -E '^(VmHWM|Threads)' "/proc/$daemon/status" || true
kill -TERM "$daemon"
rc=0
wait "$shell" || rc=$?
cat "$tree/tmp/log"
[ "$rc" = 0 ] || fail "SIGTERM: exit code $rc, not 0"

step "remove, purge"
within apt-get -q remove -y gridwatch >/dev/null
[ -e "$tree/etc/gridwatch/gridwatch.toml" ] || fail "remove took the config"
within apt-get -q purge -y gridwatch >/dev/null
[ ! -e "$tree/etc/gridwatch" ] && [ ! -e "$tree/var/lib/gridwatch" ] || fail "purge left something"
printf '\nthe package installs, runs, stops and goes\n'
