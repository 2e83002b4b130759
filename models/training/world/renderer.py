"""Draws meshes with OpenGL (through EGL, no display and no GPU needed) into linear light and an id buffer."""

from __future__ import annotations

import moderngl
import numpy as np

from . import shader
from .camera import Camera, view_matrix
from .light import Light

_LAYOUT = "3f 3f 3f 2f 3f 3f"
_ATTRIBUTES = ("position", "normal", "colour", "tags", "unit", "own")
_SHADOW_REACH_M = 30.0
_MARGIN_PX = 6
Region = tuple[int, int, int, int]  # left, top, right, bottom in pixels, right and bottom excluded


class Renderer:
    """One picture size, one OpenGL context. `static` geometry is uploaded once, moving geometry with each picture."""

    def __init__(self, width: int = 640, height: int = 360, shadow_size: int = 1024, samples: int = 4) -> None:
        self.width, self.height = width, height
        self._gl = moderngl.create_context(standalone=True, backend="egl")
        self._surface = self._gl.program(shader.SURFACE_VERTEX, shader.SURFACE_FRAGMENT)
        self._shadow = self._gl.program(shader.SHADOW_VERTEX, shader.SHADOW_FRAGMENT)
        self._id = self._gl.program(shader.ID_VERTEX, shader.ID_FRAGMENT)
        size = (width, height)
        self._drawn = self._gl.framebuffer(
            [self._gl.renderbuffer(size, 4, samples=samples, dtype="f2")],
            self._gl.depth_renderbuffer(size, samples=samples),
        )
        self._resolved = self._gl.framebuffer([self._gl.renderbuffer(size, 4, dtype="f2")])
        self._ids = self._gl.framebuffer([self._gl.renderbuffer(size, 4)], self._gl.depth_renderbuffer(size))
        self._depth = self._gl.depth_texture((shadow_size, shadow_size))
        self._depth.compare_func = ""
        self._depth.filter = (moderngl.NEAREST, moderngl.NEAREST)
        self._shadow_target = self._gl.framebuffer(depth_attachment=self._depth)
        self._static: moderngl.Buffer | None = None
        self._gl.enable(moderngl.DEPTH_TEST | moderngl.BLEND)
        self._gl.blend_func = moderngl.SRC_ALPHA, moderngl.ONE_MINUS_SRC_ALPHA

    def set_static(self, vertices: np.ndarray) -> None:
        if self._static is not None:
            self._static.release()
        self._static = self._gl.buffer(vertices.tobytes())

    def draw(
        self, moving: np.ndarray, camera: Camera, light: Light, focus: np.ndarray, ids: bool = True
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Linear light (height, width, 3) and, if asked, the owner of each pixel. Shadows: 30 m round `focus`."""
        whole = np.zeros((self.height, self.width, 3), np.float32)
        owner = self.redraw(whole, [(0, 0, self.width, self.height)], moving, camera, light, focus, ids)
        return whole, owner

    def owners(self, moving: np.ndarray, camera: Camera) -> np.ndarray:
        """The owner of each pixel if nothing else stood there."""
        return self._draw_ids([self._gl.buffer(moving.tobytes())], camera.clip_from_world(self.width / self.height))

    def redraw(
        self,
        picture: np.ndarray,
        regions: list[Region],
        moving: np.ndarray,
        camera: Camera,
        light: Light,
        focus: np.ndarray,
        ids: bool = False,
    ) -> np.ndarray | None:
        """Draw only these regions of `picture` anew, in place: enough where nothing else changed."""
        buffers = [self._static] if self._static is not None else []
        extra = self._gl.buffer(moving.tobytes()) if len(moving) else None
        if extra is not None:
            buffers.append(extra)
        clip = camera.clip_from_world(self.width / self.height)
        shadow = _shadow_matrix(light.sun, focus)
        self._shadow_target.use()
        self._shadow_target.clear(depth=1.0)
        if light.sun_power > 0.01:
            self._pass(self._shadow, buffers, shadow, ("position", "tags"))
        self._set_uniforms(camera, light, shadow)
        for left, top, right, bottom in regions:
            window = (left, self.height - bottom, right - left, bottom - top)
            self._drawn.use()
            self._drawn.scissor = self._resolved.scissor = window
            self._drawn.clear(*light.sky, 1.0)
            self._pass(self._surface, buffers, clip, _ATTRIBUTES)
            self._gl.copy_framebuffer(self._resolved, self._drawn)
            raw = np.frombuffer(self._resolved.read(window, components=3, dtype="f2", alignment=1), np.float16)
            seen = raw.reshape(bottom - top, right - left, 3)[::-1]
            picture[top:bottom, left:right] = np.nan_to_num(seen)  # a sheet seen edge-on has no normal
        owner = self._draw_ids(buffers, clip) if ids else None
        if extra is not None:
            extra.release()
        return owner

    def region_of(self, moving: np.ndarray, camera: Camera, light: Light, wall_y: float | None = None) -> Region | None:
        """What a moving thing can change in the picture, its shadow on the ground or a wall included; None: nothing."""
        points = moving[:, 0:3].astype(float)
        sun = light.sun / np.linalg.norm(light.sun)
        if light.sun_power > 0.01:
            fallen = points[:, 2:3] / sun[2] if wall_y is None else (points[:, 1:2] - wall_y) / sun[1]
            points = np.concatenate([points, points - sun * fallen])
        depth = (points - camera.eye) @ (camera.forward / np.linalg.norm(camera.forward))
        points = points[depth > 0.3]
        if not len(points):
            return None
        ratio = camera.ratio_of(points, self.width / self.height)
        near = ratio[(np.abs(ratio - 0.5) < 0.75).all(1)]
        if not len(near):
            return None
        low = np.floor(near.min(0) * [self.width, self.height]).astype(int) - _MARGIN_PX
        high = np.ceil(near.max(0) * [self.width, self.height]).astype(int) + _MARGIN_PX
        left, top = max(0, low[0]), max(0, low[1])
        right, bottom = min(self.width, high[0]), min(self.height, high[1])
        return (int(left), int(top), int(right), int(bottom)) if right > left and bottom > top else None

    @staticmethod
    def merged(regions: list[Region]) -> list[Region]:
        """Overlapping regions become one, until none overlap."""
        done: list[Region] = []
        for region in regions:
            current, touching = region, True
            while touching:
                touching = [
                    o
                    for o in done
                    if o[0] < current[2] and current[0] < o[2] and o[1] < current[3] and current[1] < o[3]
                ]
                done = [o for o in done if o not in touching]
                together = [current, *touching]
                current = (
                    *(min(o[i] for o in together) for i in (0, 1)),
                    *(max(o[i] for o in together) for i in (2, 3)),
                )
            done.append(current)
        return done

    def _draw_ids(self, buffers: list[moderngl.Buffer], clip: np.ndarray) -> np.ndarray:
        self._ids.use()
        self._gl.clear(0.0, 0.0, 0.0, 0.0)
        self._gl.disable(moderngl.BLEND)
        self._pass(self._id, buffers, clip, ("position", "tags"))
        self._gl.enable(moderngl.BLEND)
        raw = np.frombuffer(self._ids.read(components=4), np.uint8).reshape(self.height, self.width, 4)[::-1]
        return raw[..., 0].astype(np.int32) + 256 * raw[..., 1].astype(np.int32)

    def _pass(self, program: moderngl.Program, buffers: list, clip: np.ndarray, wanted: tuple[str, ...]) -> None:
        program["clip_from_world"].write(clip.T.astype("f4").tobytes())
        pairs = list(zip(_LAYOUT.split(), _ATTRIBUTES, strict=True))
        layout = " ".join(kind if name in wanted else f"{int(kind[0]) * 4}x" for kind, name in pairs)
        for buffer in buffers:
            array = self._gl.vertex_array(program, [(buffer, layout, *wanted)])
            array.render()
            array.release()

    def _set_uniforms(self, camera: Camera, light: Light, shadow: np.ndarray) -> None:
        program = self._surface
        program["shadow_from_world"].write(shadow.T.astype("f4").tobytes())
        self._depth.use(0)
        program["shadow_depth"].value = 0
        program["eye"].value = tuple(float(v) for v in camera.eye)
        program["sun"].value = tuple(float(v) for v in light.sun / np.linalg.norm(light.sun))
        program["sky"].value = tuple(light.sky)
        program["lamp_colour"].value = tuple(light.lamp_colour)
        program["lamps"].value = light.lamp_slots()
        program["sun_power"].value = light.sun_power
        program["ambient"].value = light.ambient
        program["infrared"].value = float(light.infrared)
        program["night"].value = float(light.night)
        program["seed"].value = light.seed
        program["haze"].value = light.haze
        program["cloud"].value = light.cloud
        program["wet"].value = light.wet
        program["snow"].value = light.snow
        program["beam"].value = light.beam
        program["ahead"].value = tuple(float(v) for v in camera.forward / np.linalg.norm(camera.forward))


def _shadow_matrix(sun: np.ndarray, focus: np.ndarray) -> np.ndarray:
    toward = sun / np.linalg.norm(sun)
    view = view_matrix(focus + toward * 90, -toward, up=(0.0, 1.0, 0.01))
    flat = np.eye(4)
    flat[0, 0] = flat[1, 1] = 1 / _SHADOW_REACH_M
    flat[2, 2], flat[2, 3] = -2 / 179, -181 / 179
    return flat @ view
