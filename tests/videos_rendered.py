"""Short videos of moving shapes: how they move is the class; their looks, place and pace are chance."""

from concurrent.futures import ThreadPoolExecutor

import av
import cv2
import numpy as np

SIDE, FRAMES, FPS = 64, 24, 25
MOVES = ("clap", "climb", "dive", "jump", "run", "turn", "walk", "wave")  # all have shipped class vectors


def render(move, seed):
    """Return (24, 64, 64, 3) uint8."""
    rng = np.random.default_rng([MOVES.index(move), seed])
    ground = cv2.resize(rng.integers(40, 150, (6, 6, 3)).astype(np.uint8), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    look = {"colour": tuple(int(c) for c in rng.integers(150, 256, 3)), "round": rng.random() < 0.5}
    size, pace, x, y = rng.uniform(5, 9), rng.uniform(0.85, 1.15), rng.uniform(24, 40), rng.uniform(24, 40)
    phase = rng.uniform(0, 2 * np.pi)
    frames = []
    for t in range(FRAMES):
        image, s = ground.copy(), t * pace
        if move == "clap":
            gap = 6 + 14 * abs(np.sin(s / 3 + phase))
            blob(image, x - gap, y, size, look)
            blob(image, x + gap, y, size, look)
        elif move in ("turn", "wave"):
            angle = phase + s / 4 if move == "turn" else -np.pi / 2 + 0.9 * np.sin(s / 2 + phase)
            bar(image, x, y if move == "turn" else y + 14, angle, size, look, both=move == "turn")
        else:
            hop = abs(np.sin(s / 4 + phase))
            across, down = {
                "climb": (x, 62 - 1.6 * s), "dive": (x - 8 + 0.8 * s, 4 + 0.11 * s * s), "jump": (x, 52 - 30 * hop),
                "run": (4 + 3.2 * s % 60, y + 4 * hop), "walk": (6 + 1.1 * s, y + 2 * np.sin(s / 2)),
            }[move]  # fmt: skip
            blob(image, across, down, size, look)
        frames.append(np.clip(image + rng.normal(0, 3, image.shape), 0, 255).astype(np.uint8))
    return np.stack(frames)


def blob(image, x, y, size, look):
    if look["round"]:
        cv2.circle(image, (round(x), round(y)), round(size), look["colour"], -1, cv2.LINE_AA)
    else:
        corners = (round(x - size), round(y - size)), (round(x + size), round(y + size))
        cv2.rectangle(image, *corners, look["colour"], -1)


def bar(image, x, y, angle, size, look, *, both):
    middle, reach = np.array([x, y]), 24 * np.array([np.cos(angle), np.sin(angle)])
    ends = [tuple(point.round().astype(int).tolist()) for point in (middle - both * reach, middle + reach)]
    cv2.line(image, *ends, look["colour"], round(size), cv2.LINE_AA)


def encode(path, images):
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=FPS)
        stream.height, stream.width = images.shape[1:3]
        stream.pix_fmt, stream.options = "yuv420p", {"preset": "ultrafast", "crf": "18"}
        stream.codec_context.thread_count = 1
        for image in images:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(stream.encode(None))
    return path


def make_videos(folder, per_class=26, moves=MOVES):
    """Write ``folder/jump/jump_00.mp4`` and so on; return how many."""
    jobs = [(folder / move / f"{move}_{i:02d}.mp4", move, i) for move in moves for i in range(per_class)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda job: encode(job[0], render(*job[1:])), jobs))
    return len(jobs)
