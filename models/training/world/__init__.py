"""A rendered street: meshes, lights, a camera and the sensor behind it.

Axes: x runs along the street, y across it (away from the usual camera side), z up; metres. Angles are radians.
Flow: `street`, `vehicle`, `cycle`, `figure` and `stall` fill a `mesh.Mesh`; `renderer` draws it with `camera` and
`light` into linear light and an id buffer; `sensor` turns linear light into what a cheap camera would send.
"""
