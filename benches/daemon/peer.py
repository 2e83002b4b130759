"""What somebody would write in an afternoon: is the zone occupied for ten seconds? OpenCV, onnxruntime, 5 pictures/s."""

import json
import sys
import time

import cv2
import numpy as np
import onnxruntime as ort


def detect(session, picture):
    name, (_, _, height, width) = session.get_inputs()[0].name, session.get_inputs()[0].shape
    scale = min(width / picture.shape[1], height / picture.shape[0])
    small = cv2.resize(picture, None, fx=scale, fy=scale)
    square = np.full((height, width, 3), 114, np.uint8)
    square[: small.shape[0], : small.shape[1]] = small
    tensor = square[:, :, ::-1].transpose(2, 0, 1)[None].astype(np.float32) / 255
    rows = session.run(None, {name: tensor})[0][0].T
    scores, classes = rows[:, 4:].max(1), rows[:, 4:].argmax(1)
    rows, scores, classes = (part[scores > 0.4] for part in (rows, scores, classes))
    boxes = np.concatenate([rows[:, :2] - rows[:, 2:4] / 2, rows[:, 2:4]], 1) / scale
    return [(classes[i], boxes[i]) for i in cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), 0.4, 0.5)]


def watch(url, model, corners):
    session, camera, since, n = ort.InferenceSession(model), cv2.VideoCapture(url, cv2.CAP_FFMPEG), None, 0
    while True:
        ok, picture = camera.read()
        if not ok:
            camera = cv2.VideoCapture(url, cv2.CAP_FFMPEG)
            continue
        n += 1
        if n % 250 == 0:
            print(n, "pictures", file=sys.stderr, flush=True)
        if n % 5:  # 25 pictures/s come, 5 are looked at
            continue
        zone = (np.array(corners) * [picture.shape[1], picture.shape[0]]).astype(np.float32)
        feet = [(x + w / 2, y + h) for kind, (x, y, w, h) in detect(session, picture) if kind != 0]
        inside = any(cv2.pointPolygonTest(zone, (float(x), float(y)), False) >= 0 for x, y in feet)
        since = (since or time.time()) if inside else None
        if since and time.time() - since > 10:
            print("occupied since", time.ctime(since), flush=True)


def seconds_per_inference(model):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model, options)
    feed = {session.get_inputs()[0].name: np.random.rand(*session.get_inputs()[0].shape).astype(np.float32)}
    [session.run(None, feed) for _ in range(3)]
    before = time.process_time()
    [session.run(None, feed) for _ in range(40)]
    return (time.process_time() - before) / 40


if sys.argv[1] == "--time":
    print(seconds_per_inference(sys.argv[2]))
else:
    watch(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
