"""An RTSP camera made by GStreamer's RTSP server, for tests/rtsp_peers.rs.

Prints `ready PORT` once it serves rtsp://127.0.0.1:PORT/cam, or `skip REASON` if this machine lacks a part of it.
Ends when its standard input closes, so that it never outlives the test.
"""

import argparse
import os
import sys
import threading

arguments = argparse.ArgumentParser()
arguments.add_argument("--port", default="0")
arguments.add_argument("--codec", default="h264", choices=["h264", "h265", "jpeg"])
arguments.add_argument("--auth", default="none", choices=["none", "basic", "digest"])
arguments.add_argument("--username", default="")
arguments.add_argument("--password", default="")
arguments.add_argument("--audio", action="store_true", help="offer a sound track before the video")
arguments.add_argument("--b-frames", type=int, default=0)
arguments.add_argument("--silent-after", type=int, default=0, help="send this many pictures, then nothing more")
arguments = arguments.parse_args()


def skip(reason):
    print("skip", reason, flush=True)
    sys.exit(0)


try:
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtsp", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtsp, GstRtspServer
except (ImportError, ValueError) as error:
    skip(f"no GStreamer RTSP server for Python ({error})")

Gst.init(None)
ENCODERS = {
    "h264": f"x264enc speed-preset=ultrafast key-int-max=15 bframes={arguments.b_frames}"
    + (" tune=zerolatency" if arguments.b_frames == 0 else "")
    + " ! rtph264pay pt=96",
    "h265": "x265enc speed-preset=ultrafast tune=zerolatency key-int-max=15 ! rtph265pay pt=96",
    "jpeg": "jpegenc ! rtpjpegpay pt=26",
}
encoder = ENCODERS[arguments.codec]
audio = "mulawenc", "rtppcmupay"
for element in [encoder.split()[0], encoder.split("! ")[1].split()[0], *(audio if arguments.audio else [])]:
    if Gst.ElementFactory.find(element) is None:
        skip(f"no GStreamer element {element}")

video = "pay1" if arguments.audio else "pay0"
launch = (
    "videotestsrc is-live=true pattern=ball ! video/x-raw,format=I420,width=320,height=240,framerate=15/1"
    f" ! {encoder} name={video}"
)
if arguments.audio:
    launch += " audiotestsrc is-live=true ! audio/x-raw,rate=8000,channels=1 ! mulawenc ! rtppcmupay name=pay0 pt=0"

factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(f"( {launch} )")
factory.set_shared(False)


def configure(_, media):
    """Drops everything after some pictures; the connection itself stays healthy."""
    left = [arguments.silent_after]

    def probe(_pad, _info):
        left[0] -= 1
        return Gst.PadProbeReturn.OK if left[0] >= 0 else Gst.PadProbeReturn.DROP

    if arguments.silent_after:
        pad = media.get_element().get_by_name(video).get_static_pad("sink")
        pad.add_probe(Gst.PadProbeType.BUFFER, probe)


factory.connect("media-configure", configure)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(arguments.port)

if arguments.auth != "none":
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "viewer")
    if arguments.auth == "digest":
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(arguments.username, arguments.password, token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(arguments.username, arguments.password), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("viewer", "media.factory.access", True)
    permissions.add_permission_for_role("viewer", "media.factory.construct", True)
    factory.set_permissions(permissions)

server.get_mount_points().add_factory("/cam", factory)
if server.attach(None) == 0:
    skip(f"port {arguments.port} cannot be bound")


def watch():
    sys.stdin.read()
    os._exit(0)


threading.Thread(target=watch, daemon=True).start()
print("ready", server.get_bound_port(), flush=True)
GLib.MainLoop().run()
