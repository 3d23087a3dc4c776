"""What a camera, the light and the way an object lies do to images, so that each can be tried on known ones.

Kinds after Hendrycks and Dietterich, "Benchmarking neural network robustness to common corruptions and perturbations"
(ICLR 2019); degrees are shares of an image's side or of white, so that they mean the same for every camera.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from include.contracts import Cause

Image = NDArray[np.uint8]
WHITE = 255.0
SEED = 5
# From what is before the camera to what is inside it.
ORDER = ("geometry", "lighting", "camera_fault")
# Grey levels by which half of the edge of an image differs: less is a plain ground.
PLAIN = 12
GRAIN_STEPS = 2


@dataclass(frozen=True)
class Kind:
    """One thing that may be wrong with images, to a degree.

    :ivar degrees: That are tried; the true one may lie between them.
    :ivar optical: It happens before the sensor, whose grain stays as it is.
    """

    cause: Cause
    name: str
    do: Callable[[Image, float], Image]
    degrees: tuple[float, ...]
    optical: bool = True


@dataclass(frozen=True)
class Fault:
    """A kind of fault of one degree."""

    kind: Kind
    degree: float

    @property
    def name(self) -> str:
        """In words."""
        return self.kind.name.format(self.degree)

    def finer(self, part: float) -> list["Fault"]:
        """Return those beside it, at a part of the step between the degrees that are tried."""
        steps = np.diff(sorted(self.kind.degrees))
        return [Fault(self.kind, self.degree + sign * part * float(steps.min())) for sign in (-1, 1) if len(steps)]


def list_faults() -> list[Fault]:
    """Return every fault that is tried by itself."""
    return [Fault(kind, degree) for kind in KINDS for degree in kind.degrees]


def list_pairs() -> list[tuple[Fault, Fault]]:
    """Return pairs that are tried together: a blurred lens that is turned."""
    return [(Fault(BLUR, BLUR.degrees[1]), Fault(TURN, degrees)) for degrees in TURN.degrees]


def order_faults(parts: Sequence[Fault]) -> list[Fault]:
    """Return faults that happen together, those of the camera first: whoever mends it sees to the rest."""
    return sorted(parts, key=lambda part: -ORDER.index(part.kind.cause))


def damage(images: Sequence[Image], parts: Sequence[Fault]) -> list[Image]:
    """Do faults to images, uint8 [H, W, 3], from those of the scene to those behind the lens."""
    damaged = list(images)
    inward = order_faults(parts)[::-1]
    for part in inward:
        if part.kind.optical:
            damaged = [part.kind.do(image, part.degree) for image in damaged]
    damaged = _add_grain(damaged, images) if any(part.kind.optical for part in parts) else damaged
    for part in inward:
        if not part.kind.optical:
            damaged = [part.kind.do(image, part.degree) for image in damaged]
    return damaged


def mask(pixels: NDArray[np.bool_], values: Image) -> Fault:
    """Return the fault of pixels that show the same whatever is before the camera.

    :param pixels: Which of them, [H, W].
    :param values: What they show, [H, W, 3].
    """

    def stick(image: Image, _: float) -> Image:
        return np.where(pixels[..., None], values, image) if image.shape == values.shape else image

    return Fault(Kind("camera_fault", "dead pixels", stick, (1.0,), optical=False), 1.0)


def _add_grain(damaged: list[Image], images: Sequence[Image]) -> list[Image]:
    """Give the sensor's noise back that went with the scene: what blurs the one does not blur the other."""
    wanted = _grain(images)
    sigma = max(wanted**2 - _grain(damaged) ** 2, 0.0) ** 0.5
    grained = damaged
    # Where black stays black, half of the noise that is added is cut off again.
    for _ in range(GRAIN_STEPS if sigma else 0):
        chance = np.random.default_rng(SEED)
        grained = [_round(image + chance.normal(0, sigma, (*image.shape[:2], 1))) for image in damaged]
        sigma *= wanted / max(_grain(grained), 1e-6)
    return grained


def _grain(images: Sequence[Image]) -> float:
    """Return the noise of the plainest images, after Immerkær (1996): in the others, texture looks like noise."""
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)
    found = [
        np.abs(cv2.filter2D(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32), -1, kernel)).mean()
        for image in images
    ]
    return float(np.percentile(found, 5) * (np.pi / 2) ** 0.5 / 6)


def _blur(image: Image, sigma: float) -> Image:
    if sigma <= 0:
        return image
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma * min(image.shape[:2])), dtype=np.uint8)


def _add_noise(image: Image, sigma: float) -> Image:
    # Seeded by the image: noise that is the same everywhere would be dead pixels.
    seed = int(image.astype(np.uint32).sum())
    return _round(image + np.random.default_rng([SEED, seed]).normal(0.0, max(sigma, 0) * WHITE, image.shape))


def _kill_pixels(image: Image, share: float) -> Image:
    chance = np.random.default_rng(SEED).random(image.shape[:2])
    dead = image.copy()
    dead[chance < share / 2] = 0
    dead[chance > 1 - share / 2] = 255
    return dead


def _overexpose(image: Image, gain: float) -> Image:
    return _round(image * gain)


def _underexpose(image: Image, by: float) -> Image:
    return _round(image - by * WHITE)


def _compress(image: Image, strength: float) -> Image:
    quality = int(np.clip(100 - strength, 1, 100))
    encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR), dtype=np.uint8)


def _dim(image: Image, gain: float) -> Image:
    return _round(image * gain)


def _veil(image: Image, share: float) -> Image:
    return _round(image * (1 - share) + share * 0.8 * WHITE)


def _tint(gains: tuple[float, float, float]) -> Callable[[Image, float], Image]:
    """Take so much of each channel away, to a degree."""
    return lambda image, degree: _round(image * (1 - degree * np.array(gains)))


def _shade(quarter_turns: int) -> Callable[[Image, float], Image]:
    def shade(image: Image, depth: float) -> Image:
        seen = np.rot90(image, quarter_turns)
        lit = seen * np.linspace(1.0, 1 - depth, seen.shape[1])[:, None]
        return np.ascontiguousarray(np.rot90(_round(lit), -quarter_turns))

    return shade


def _turn(image: Image, degrees: float) -> Image:
    return _warp(image, degrees, 1.0)


def _zoom(image: Image, zoom: float) -> Image:
    return _warp(image, 0.0, zoom)


def _shift(x: float, y: float) -> Callable[[Image, float], Image]:
    return lambda image, share: _warp(image, 0.0, 1.0, (x * share, y * share))


def _warp(image: Image, degrees: float, zoom: float, by: tuple[float, float] = (0.0, 0.0)) -> Image:
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, zoom)
    matrix[:, 2] += np.array(by) * (width, height)
    edge = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    ground = np.median(edge, axis=0)
    # The world goes on beyond the edge of an image: a plain ground as it is, anything else about as in a mirror.
    plain = float(np.median(np.abs(edge - ground))) < PLAIN
    warped = cv2.warpAffine(
        image,
        matrix,
        (width, height),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT if plain else cv2.BORDER_REFLECT_101,
        borderValue=ground.tolist(),
    )
    return np.asarray(warped, dtype=np.uint8)


def _flip(axis: int) -> Callable[[Image, float], Image]:
    return lambda image, _: np.ascontiguousarray(np.flip(image, axis))


def _round(pixels: NDArray[np.floating[Any]]) -> Image:
    return np.asarray(np.clip(np.rint(pixels), 0, WHITE), dtype=np.uint8)


BLUR = Kind("camera_fault", "blurred lens", _blur, (1 / 64, 1 / 32, 3 / 64, 1 / 16))
TURN = Kind("geometry", "turned by about {:.0f}°", _turn, tuple(degrees for degrees in range(-165, 181, 15) if degrees))
KINDS = (
    BLUR,
    Kind("camera_fault", "noisy sensor", _add_noise, (0.04, 0.08, 0.16), optical=False),
    Kind("camera_fault", "dead pixels", _kill_pixels, (0.01, 0.03, 0.1), optical=False),
    Kind("camera_fault", "overexposed", _overexpose, (1.5, 2.5, 4.0)),
    Kind("camera_fault", "underexposed", _underexpose, (0.15, 0.3, 0.5)),
    Kind("camera_fault", "compressed too hard", _compress, (75, 90), optical=False),
    Kind("lighting", "less light", _dim, (0.8, 0.6, 0.4, 0.2)),
    Kind("lighting", "stray light or haze", _veil, (0.15, 0.3, 0.5, 0.7)),
    *(
        Kind("lighting", f"{name} light", _tint(gains), (0.5, 1.0, 1.5))
        for name, gains in {"warmer": (0, 0.15, 0.4), "colder": (0.4, 0.15, 0), "greener": (0.25, 0, 0.25)}.items()
    ),
    *(
        Kind("lighting", f"shade from the {side}", _shade(turns), (0.4, 0.7))
        for turns, side in enumerate(("right", "bottom", "left", "top"))
    ),
    TURN,
    Kind("geometry", "mirrored", _flip(1), (1.0,)),
    Kind("geometry", "upside down, mirrored", _flip(0), (1.0,)),
    *(
        Kind("geometry", f"shifted {name}", _shift(*way), (0.15, 0.3))
        for name, way in {"to the right": (1, 0), "to the left": (-1, 0), "down": (0, 1), "up": (0, -1)}.items()
    ),
    Kind("geometry", "too close", _zoom, (1.25, 1.6)),
    Kind("geometry", "too far away", _zoom, (0.8, 0.6)),
)
