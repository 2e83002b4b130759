#!/usr/bin/env bash
# Builds the Debian package: target/debian/gridwatch_VERSION_ARCH.deb. `./dev package` calls it after the set-up.
#
#     systemd/package.sh [--shared]    --shared: link the machine's own FFmpeg packages instead of the small static one
#
# What is in it: the binary with FFmpeg linked in, ONNX Runtime's library, the shipped model with its card, scenarios,
# the unit, a config that starts with no camera, and the notices of everything that is linked.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { printf 'error: %s\n' "$1" >&2; [ $# -lt 2 ] || printf 'hint: %s\n' "$2" >&2; exit 1; }
for tool in dpkg-deb dpkg-shlibdeps cargo python3; do
    command -v "$tool" >/dev/null || fail "$tool is missing" "apt-get install dpkg-dev python3"
done
onnxruntime=$(readlink -e "${ORT_DYLIB_PATH:-.dev/onnxruntime/libonnxruntime.so}") ||
    fail "ONNX Runtime is missing" "./dev package fetches it"

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
arch=$(dpkg --print-architecture)
epoch=$(git log -1 --format=%ct 2>/dev/null || date +%s)
out=target/debian
tree=$out/tree
doc=$tree/usr/share/doc/gridwatch

# --- the binary -------------------------------------------------------------------------------------------------------
features=()
if [ "${1:-}" != --shared ]; then
    systemd/ffmpeg.sh
    export PKG_CONFIG_PATH=$PWD/.dev/ffmpeg/lib/pkgconfig
    features=(--features static-ffmpeg)
fi
cargo build --release --locked --bin gridwatch "${features[@]}"

# --- the tree ---------------------------------------------------------------------------------------------------------
rm -rf "$tree"
install -D -m 755 target/release/gridwatch "$tree/usr/bin/gridwatch"
# Run once here: a binary that does not start is no package.
ORT_DYLIB_PATH=$onnxruntime "$tree/usr/bin/gridwatch" --version
install -D -m 644 "$onnxruntime" "$tree/usr/lib/gridwatch/$(basename "$onnxruntime")"
ln -s "$(basename "$onnxruntime")" "$tree/usr/lib/gridwatch/libonnxruntime.so"
install -d "$tree/usr/share/gridwatch/models" "$tree/usr/share/gridwatch/scenarios"
install -m 644 models/*.toml "$tree/usr/share/gridwatch/models/"
for model in models/*.onnx; do
    [ -e "$model" ] && install -m 644 "$model" "$tree/usr/share/gridwatch/models/"
done
install -m 644 config/scenarios/*.toml "$tree/usr/share/gridwatch/scenarios/"
install -D -m 644 systemd/gridwatch.service "$tree/usr/lib/systemd/system/gridwatch.service"
install -D -m 640 systemd/gridwatch.toml "$tree/etc/gridwatch/gridwatch.toml"
install -D -m 644 config/gridwatch.toml "$doc/examples/gridwatch.toml"
install -m 644 config/cameras.example.csv "$doc/examples/"
[ -e config/gridwatch.schema.json ] && install -m 644 config/gridwatch.schema.json "$doc/examples/"
[ -d config/contract ] && cp -r config/contract "$doc/contract"
install -m 644 README.md "$doc/README.md"

# --- notices ----------------------------------------------------------------------------------------------------------
install -d "$doc/notices"
python3 systemd/notices.py >"$doc/notices/rust-crates.txt"
for notice in LICENSE ThirdPartyNotices.txt; do
    file=$(dirname "$onnxruntime")/$notice
    [ -e "$file" ] && install -m 644 "$file" "$doc/notices/onnxruntime-$notice"
done
ffmpeg="FFmpeg is linked dynamically, from the packages this one depends on."
if [ ${#features[@]} -gt 0 ]; then
    install -m 644 .dev/ffmpeg/COPYING.LGPLv2.1 "$doc/notices/ffmpeg-COPYING.LGPLv2.1"
    ffmpeg="FFmpeg is linked statically: Debian's source package $(cat .dev/ffmpeg/version), unchanged, configured by
 systemd/ffmpeg.sh in gridwatch's source. To use another FFmpeg, change that script or put another build into
 .dev/ffmpeg, and run ./dev package: that relinks gridwatch with it, which section 6 of the licence asks to be possible."
fi
cat >"$doc/copyright" <<COPYRIGHT
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: gridwatch

Files: *
Copyright: the gridwatch authors
License: Apache-2.0
 See /usr/share/common-licenses/Apache-2.0.

Files: usr/lib/gridwatch/libonnxruntime.so*
Copyright: Microsoft Corporation
License: Expat
 ONNX Runtime, as its makers publish it. See notices/onnxruntime-LICENSE and notices/onnxruntime-ThirdPartyNotices.txt.

Files: usr/bin/gridwatch
Copyright: the FFmpeg developers; the authors of the crates in notices/rust-crates.txt; the gridwatch authors
License: LGPL-2.1+ and the licences in notices/rust-crates.txt
 $ffmpeg
 The library's licence is /usr/share/common-licenses/LGPL-2.1.
COPYRIGHT
gzip -9n "$doc"/notices/*.txt

# --- control ----------------------------------------------------------------------------------------------------------
# dpkg-shlibdeps wants a source tree's debian/control; it finds which packages hold the libraries that are needed.
mkdir -p "$out/shlibdeps/debian"
printf 'Source: gridwatch\n\nPackage: gridwatch\nArchitecture: any\n' >"$out/shlibdeps/debian/control"
depends=$(cd "$out/shlibdeps" && dpkg-shlibdeps -O -e ../tree/usr/bin/gridwatch \
    -e "../tree/usr/lib/gridwatch/$(basename "$onnxruntime")" 2>/dev/null | sed -n 's/^shlibs:Depends=//p')
rm -rf "$out/shlibdeps"
find "$tree" -type d -exec chmod 755 {} +
mkdir -p "$tree/DEBIAN"
cat >"$tree/DEBIAN/control" <<CONTROL
Package: gridwatch
Version: $version
Architecture: $arch
Maintainer: the gridwatch authors <gridwatch@localhost>
Section: video
Priority: optional
Installed-Size: $(du -sk --exclude=DEBIAN "$tree" | cut -f1)
Depends: $depends, passwd, tzdata
Recommends: systemd
Description: edge video analytics for city cameras
 Watches many RTSP cameras for street vending, objects thrown from heights and
 blocked fire lanes, and publishes incidents over MQTT to a dispatch platform.
 .
 No camera is watched until /etc/gridwatch/gridwatch.toml names one.
CONTROL
echo /etc/gridwatch/gridwatch.toml >"$tree/DEBIAN/conffiles"
install -m 755 systemd/deb/postinst systemd/deb/prerm systemd/deb/postrm "$tree/DEBIAN/"
(cd "$tree" && find . -type f ! -path './DEBIAN/*' -printf '%P\0' | sort -z | xargs -0 md5sum >DEBIAN/md5sums)

# The same source gives the same bytes.
export SOURCE_DATE_EPOCH=$epoch
find "$tree" -newermt "@$epoch" -exec touch --no-dereference --date="@$epoch" {} +
deb=$out/gridwatch_${version}_${arch}.deb
dpkg-deb --root-owner-group -Zxz --build "$tree" "$deb" >/dev/null
printf '%s  %s bytes\n' "$deb" "$(stat -c %s "$deb")"
printf '  binary       %10s bytes\n' "$(stat -c %s "$tree/usr/bin/gridwatch")"
printf '  ONNX Runtime %10s bytes\n' "$(stat -c %s "$onnxruntime")"
printf '  depends on   %s\n' "$depends"
