"""Names of video files, and of the frames they become. Decoding them is `frames`' part."""

# The container is named by the suffix, not found by looking: a playlist in a video's clothes would make libav open
# whatever it names.
CONTAINERS = {
    ".mp4": "mov", ".m4v": "mov", ".mov": "mov", ".avi": "avi", ".mkv": "matroska", ".webm": "matroska",
}  # fmt: skip


def is_video(name: str) -> bool:
    """Tell whether a file is taken for a video."""
    return name.lower().endswith(tuple(CONTAINERS))


def name_frame(milliseconds: int) -> str:
    """Name the frame at a time of a clip, inside the folder that has the clip's name; names sort as times do."""
    return f"{milliseconds:09d}.png"


def read_frame(name: str) -> tuple[str, int] | None:
    """Return the clip and the milliseconds of a frame; None for what is none."""
    clip, _, frame = name.rpartition("/")
    time = frame.removesuffix(".png")
    return (clip, int(time)) if is_video(clip) and time.isdecimal() and time.isascii() else None
