#!/usr/bin/env bash
# Builds the small static FFmpeg that the Debian package links: LGPL 2.1 or later, only what gridwatch calls.
#
#     systemd/ffmpeg.sh            -> .dev/ffmpeg/lib/pkgconfig, for PKG_CONFIG_PATH
#
# Debian's own shared build is GPL and brings 97 libraries, 144 MB. The source is Debian's source package of the same
# release with Debian's security fixes. Needs: dpkg-dev, nasm, gcc, make. Does nothing if it is built already.
set -euo pipefail
cd "$(dirname "$0")/.."

prefix=$PWD/.dev/ffmpeg
build=$PWD/.dev/ffmpeg-build

# Everything that decode, camera and evidence ask FFmpeg for; a component that is missing here fails at run time.
components=(
    --enable-decoder=h264,hevc,mjpeg,mpeg4
    --enable-parser=h264,hevc,mjpeg,mpeg4video
    --enable-demuxer=mov,avi,mpegts,matroska,h264,hevc,mjpeg,m4v
    --enable-bsf=h264_mp4toannexb,hevc_mp4toannexb,extract_extradata,dump_extra,mpeg4_unpack_bframes
    --enable-encoder=mpeg4 # replay --annotate; libx264 is GPL
    --enable-muxer=mp4
    --enable-protocol=file
    --enable-swscale
)

apt_sources() {
    # `apt-get source` wants deb-src entries; most machines have none, so their deb entries are read as such, in a
    # private place. Nothing of the system's own configuration is touched.
    mkdir -p "$build/apt/parts" "$build/apt/lists/partial"
    rm -f "$build"/apt/parts/*
    local file
    for file in /etc/apt/sources.list.d/debian*.sources; do
        [ -e "$file" ] && sed 's/^Types:.*/Types: deb-src/' "$file" >"$build/apt/parts/$(basename "$file")"
    done
    if [ -s /etc/apt/sources.list ]; then
        sed -n 's/^deb /deb-src /p' /etc/apt/sources.list >"$build/apt/parts/main.list"
    fi
    apt=(apt-get -q -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$build/apt/parts"
        -o "Dir::State::lists=$build/apt/lists" -o APT::Sandbox::User=root)
}

# The stamp names the recipe: a changed one builds anew. A newer source package is taken after `rm -r .dev/ffmpeg`.
stamp="$(printf '%s\n' "${components[@]}" | sha256sum | cut -c1-16)"
if [ "$(cat "$prefix/stamp" 2>/dev/null)" = "$stamp" ]; then
    echo "FFmpeg: built already in .dev/ffmpeg ($(cat "$prefix/version"))"
    exit 0
fi
for tool in dpkg-source nasm gcc make; do
    command -v "$tool" >/dev/null || { echo "error: $tool is missing" >&2; echo "hint: apt-get install dpkg-dev nasm gcc make" >&2; exit 1; }
done

apt_sources
"${apt[@]}" update
(cd "$build" && "${apt[@]}" source --download-only ffmpeg)
dsc=$(ls -t "$build"/ffmpeg_*.dsc | head -n 1)
rm -rf "$build/source"
# Checks the sizes and hashes that the signed .dsc names, and applies Debian's patches.
dpkg-source -x "$dsc" "$build/source"

cd "$build/source"
./configure --prefix="$prefix" --disable-everything --disable-autodetect --disable-programs --disable-doc \
    --disable-network --disable-avdevice --disable-avfilter --disable-swresample --disable-postproc --disable-debug \
    --enable-static --disable-shared --enable-pic --enable-pthreads "${components[@]}"
grep -q '^#define FFMPEG_LICENSE "LGPL' config.h || { echo "error: this FFmpeg would not be LGPL" >&2; exit 1; }
make -j"$(nproc)"
rm -rf "$prefix"
make install
cp COPYING.LGPLv2.1 "$prefix/"
cp "$dsc" "$prefix/"
basename "$dsc" .dsc >"$prefix/version"
echo "$stamp" >"$prefix/stamp"
rm -rf "$build/source"
echo "FFmpeg: built into .dev/ffmpeg ($(cat "$prefix/version"))"
