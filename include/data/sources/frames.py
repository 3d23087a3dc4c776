"""Frames of video files, decoded by PyAV in processes that may crash, hang or swell without harm."""

import json
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from include.contracts import QuarantineReason
from include.data.sources.names import UnfitFileError
from include.data.sources.videos import CONTAINERS, is_video, name_frame
from include.settings import REPOSITORY

MAX_CLIP_SECONDS = 4 * 3600
MAX_FRAMES = 20_000
MAX_MEMORY = 8 << 30
DECODE_SECONDS = 1800
WORKERS = 2
# A container may round its duration up, or count a last frame that was never written.
MISSING_SECONDS = 1.0
MARGIN_PIXELS = 1_000_000


def expand_clips(
    folder: Path, frame_seconds: float, max_pixels: int
) -> tuple[list[str], dict[str, tuple[QuarantineReason, str]]]:
    """Put a folder of frames, `<clip>/<milliseconds>.png`, in the place of every video below a folder.

    One that cannot be decoded whole stays as it is.

    :param frame_seconds: Least time between two frames.
    :param max_pixels: Largest frame.
    :returns: The clips expanded, and those refused with the reason.
    """
    clips = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if is_video(path.name))
    refused: dict[str, tuple[QuarantineReason, str]] = {}
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch, ThreadPoolExecutor(WORKERS) as pool:
        targets = {clip: Path(scratch) / str(number) for number, clip in enumerate(clips)}

        def decode(clip: str) -> tuple[QuarantineReason, str] | None:
            return _decode(folder / clip, targets[clip], frame_seconds, max_pixels)

        for clip, refusal in zip(clips, pool.map(decode, clips), strict=True):
            if refusal:
                refused[clip] = refusal
            else:
                (folder / clip).unlink()
                targets[clip].rename(folder / clip)
    return [clip for clip in clips if clip not in refused], refused


def _decode(path: Path, target: Path, frame_seconds: float, max_pixels: int) -> tuple[QuarantineReason, str] | None:
    """Sample a video in a program of its own: one that is forked, or imports a task's main module, drags Airflow in."""
    command = [
        sys.executable,
        "-m",
        "include.data.sources.frames",
        str(path),
        str(target),
        str(frame_seconds),
        str(max_pixels),
    ]
    try:
        ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=DECODE_SECONDS)
    except subprocess.TimeoutExpired:
        return "decoder_timeout", f"not decoded within {DECODE_SECONDS} s"
    if ended.returncode:
        last = ended.stderr.strip().rpartition("\n")[2]
        return "decoder_crashed", f"the decoder ended with code {ended.returncode}: {last}"
    if ended.stdout:
        reason, detail = json.loads(ended.stdout)
        return reason, detail
    return None


def sample_frames(path: Path, target: Path, frame_seconds: float, max_pixels: int) -> None:
    """Write the frames of one video, upright, as PNG files.

    :raises UnfitFileError: it is no video, too long, too large, or damaged.
    """
    import av

    target.mkdir()
    try:
        with av.open(f"file:{path}", "r", CONTAINERS[path.suffix.lower()]) as container:
            if not container.streams.video:
                raise UnfitFileError("not_an_image", "the container holds no video")
            stream = container.streams.video[0]
            duration = _check_limits(container, stream, frame_seconds, max_pixels)
            # Frames may grow within a stream; libav counts the margins it adds.
            stream.codec_context.options = {"max_pixels": str(2 * max_pixels + MARGIN_PIXELS)}
            last = _write_frames(container.decode(stream), target, frame_seconds, max_pixels)
    except av.FFmpegError as error:
        raise UnfitFileError("truncated", f"the video is damaged: {error.strerror}") from error
    if last + MISSING_SECONDS < duration:
        raise UnfitFileError("truncated", f"the video says that it takes {duration:.1f} s, and ends at {last:.1f} s")


def _check_limits(container: Any, stream: Any, frame_seconds: float, max_pixels: int) -> float:
    """Hold what the container says against the limits, before a frame is decoded; return the seconds it takes."""
    _check_size(stream, max_pixels)
    told = stream.duration * stream.time_base if stream.duration is not None else (container.duration or 0) / 1_000_000
    duration = float(told)
    if duration > min(MAX_CLIP_SECONDS, MAX_FRAMES * frame_seconds):
        raise UnfitFileError(
            "too_many_pixels",
            f"{duration:.0f} s; at most {MAX_CLIP_SECONDS} s and {MAX_FRAMES} frames, one every {frame_seconds:g} s, "
            "are taken of a video",
        )
    return duration


def _check_size(picture: Any, max_pixels: int) -> None:
    if picture.width * picture.height > max_pixels:
        size = f"{picture.width} x {picture.height}"
        raise UnfitFileError("too_many_pixels", f"{size} pixels, at most {max_pixels} are allowed")


def _write_frames(frames: Iterator[Any], target: Path, frame_seconds: float, max_pixels: int) -> float:
    """Write a frame whenever it is time for one; return the time of the last frame seen."""
    start: float | None = None
    due = time = 0.0
    for frame in frames:
        if frame.time is None or frame.is_corrupt:
            raise UnfitFileError("truncated", f"a damaged frame after {time:.1f} s")
        _check_size(frame, max_pixels)
        start = frame.time if start is None else start
        time = max(time, frame.time - start)
        if time > min(MAX_CLIP_SECONDS, MAX_FRAMES * frame_seconds):
            raise UnfitFileError("too_many_pixels", f"longer than it says, and than the {MAX_CLIP_SECONDS} s allowed")
        if time >= due:
            upright = np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))
            Image.fromarray(np.ascontiguousarray(upright)).save(target / name_frame(round(time * 1000)))
            due = time + frame_seconds
    if start is None:
        raise UnfitFileError("truncated", "the video has no frame")
    return time


def _main(path: str, target: str, frame_seconds: str, max_pixels: str) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    try:
        sample_frames(Path(path), Path(target), float(frame_seconds), int(max_pixels))
    except UnfitFileError as error:
        sys.stdout.write(json.dumps([error.reason, str(error)]))


if __name__ == "__main__":
    _main(*sys.argv[1:])
