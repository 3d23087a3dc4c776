"""Windows whose drift has a cause that was planted, on photographed digits."""

import io
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from benchmarks.planted_release import NEW, Window
from examples.camera import WORN_LENSES, photograph
from examples.camera.lens import BRIGHTNESS_JITTER, SENSOR_NOISE, SIDE
from examples.camera.specimens import read_specimen

WINDOW = 200

Pixels = NDArray[np.uint8]
Chance = np.random.Generator


class Scenes(NamedTuple):
    """Specimens that are photographed as they are sent, and the digit of each."""

    specimens: NDArray[np.int64]
    labels: NDArray[np.int64]


def draw(live: Scenes, chance: Chance, shares: NDArray[np.float64] | None = None) -> Scenes:
    """Draw a window; of the digits in these shares, [10], or of those taught as they come."""
    weights = np.where(live.labels < NEW, 1.0, 0.0)
    if shares is not None:
        weights = shares[live.labels] / np.bincount(live.labels, minlength=NEW + 1)[live.labels]
    places = chance.choice(len(live.labels), WINDOW, replace=shares is not None, p=weights / weights.sum())
    return Scenes(live.specimens[places], live.labels[places])


def expose(specimen: int, before: Callable[[Image.Image], Image.Image], light: float, chance: Chance) -> Pixels:
    """Photograph a specimen as `examples.camera` does, with something before the sensor."""
    ink = Image.fromarray((read_specimen(specimen) * (255 / 16)).astype(np.uint8))
    scene = before(ink.resize((SIDE, SIDE), Image.Resampling.BICUBIC).convert("RGB"))
    light *= chance.uniform(1 - BRIGHTNESS_JITTER, 1 + BRIGHTNESS_JITTER)
    exposed = np.asarray(scene) * light + chance.normal(0, SENSOR_NOISE, (SIDE, SIDE, 1))
    return exposed.clip(0, 255).astype(np.uint8)


def shoot(scenes: Scenes, kind: str, severity: float, chance: Chance) -> list[Pixels]:
    """Photograph a window with one thing wrong, by other code than the diagnosis tries it with.

    :param severity: 0 to 1, of what may be met.
    """
    before = {name: partial(change, severity=severity) for name, change in BEFORE.items()}.get(kind, _leave)
    light = 0.55 - 0.25 * severity if kind == "less light" else 1.0
    images = [expose(int(specimen), before, light, chance) for specimen in scenes.specimens]
    if kind in AFTER:
        grid = chance.random((SIDE, SIDE, 1))
        images = [AFTER[kind](image, severity, grid, chance).clip(0, 255).astype(np.uint8) for image in images]
    return images


def plant(cause: str, live: Scenes, seed: int) -> tuple[Window, str]:
    """Plant a cause in a window of live specimens; return it and what exactly was done."""
    chance = np.random.default_rng([seed, *cause.encode()])
    return PLANTED[cause](live, chance, seed)


def _plant_damage(kinds: tuple[str, ...], live: Scenes, chance: Chance, seed: int) -> tuple[Window, str]:
    kind, scenes, severity = kinds[seed % len(kinds)], draw(live, chance), chance.random()
    return Window(shoot(scenes, kind, severity, chance), scenes.labels, scenes.labels), f"{kind}, {severity:.0%}"


def _plant_worn_lens(live: Scenes, chance: Chance, seed: int) -> tuple[Window, str]:
    lens, scenes = WORN_LENSES[seed % len(WORN_LENSES)], draw(live, chance)
    shots = [photograph(int(specimen), lens, shot) for shot, specimen in enumerate(scenes.specimens)]
    images = [np.asarray(Image.open(io.BytesIO(shot))) for shot in shots]
    return Window(images, scenes.labels, scenes.labels), str(lens)


def _plant_priors(live: Scenes, chance: Chance, seed: int) -> tuple[Window, str]:
    shares = np.append(chance.dirichlet(np.full(NEW, 0.5)), 0.0)
    scenes = draw(live, chance, shares)
    return _look(scenes, scenes.labels, chance), f"one class has {shares.max():.0%}"


def _plant_new_class(live: Scenes, chance: Chance, seed: int) -> tuple[Window, str]:
    share = chance.uniform(0.15, 0.4)
    scenes = draw(live, chance, np.append(np.full(NEW, (1 - share) / NEW), share))
    return _look(scenes, scenes.labels, chance), f"{share:.0%} of a new digit"


def _plant_label_noise(live: Scenes, chance: Chance, seed: int) -> tuple[Window, str]:
    scenes, share = draw(live, chance), chance.uniform(0.2, 0.45)
    wrong = (scenes.labels + chance.integers(1, NEW, WINDOW)) % NEW
    said = np.where(chance.random(WINDOW) < share, wrong, scenes.labels)
    return _look(scenes, said, chance), f"{share:.0%} of the labels wrong"


def _plant_concept(live: Scenes, chance: Chance, seed: int) -> tuple[Window, str]:
    scenes, moved = draw(live, chance), chance.permutation(NEW)[: int(chance.integers(2, 5))]
    renamed = np.arange(NEW)
    renamed[moved] = np.roll(moved, 1)
    # What a class means has changed: the old name is wrong from now on.
    now = scenes._replace(labels=renamed[scenes.labels])
    return _look(now, now.labels, chance), f"{len(moved)} classes renamed"


def _look(scenes: Scenes, said: NDArray[np.int64], chance: Chance) -> Window:
    return Window(shoot(scenes, "", 0.0, chance), scenes.labels, said)


def _leave(scene: Image.Image) -> Image.Image:
    return scene


def _veil(scene: Image.Image, severity: float) -> Image.Image:
    return Image.blend(scene, Image.new("RGB", scene.size, (200, 205, 210)), 0.25 + 0.35 * severity)


def _tint(scene: Image.Image, severity: float) -> Image.Image:
    return Image.fromarray((np.asarray(scene) * np.array([1.0, 0.85, 0.65 - 0.25 * severity])).astype(np.uint8))


def _paste(scene: Image.Image, side: int, left: int, top: int) -> Image.Image:
    canvas = Image.new("RGB", scene.size)
    canvas.paste(scene.resize((side, side), Image.Resampling.LANCZOS), (left, top))
    return canvas


def _shrink(scene: Image.Image, severity: float) -> Image.Image:
    side = round(SIDE * (0.75 - 0.2 * severity))
    return _paste(scene, side, (SIDE - side) // 2, (SIDE - side) // 2)


# Before the sensor: the lens, the light, and how the object lies.
BEFORE: dict[str, Callable[..., Image.Image]] = {
    "blur": lambda scene, severity: scene.filter(ImageFilter.BoxBlur(0.9 + severity)),
    "haze": _veil,
    "colour": _tint,
    "turn": lambda scene, severity: scene.rotate(25 + 65 * severity, Image.Resampling.BICUBIC),
    "shift": lambda scene, severity: _paste(scene, SIDE, round(SIDE * (0.2 + 0.2 * severity)), 0),
    "zoom": _shrink,
}
# In the sensor, and behind it.
AFTER: dict[str, Callable[[Pixels, float, NDArray[np.float64], Chance], NDArray[Any]]] = {
    "noise": lambda image, severity, _, chance: image + chance.normal(0, 15 + 25 * severity, image.shape),
    "dead pixels": lambda image, severity, grid, _: np.where(grid < 0.015 + 0.03 * severity, 255, image),
    "overexposed": lambda image, severity, *_: image * (2.0 + 2.0 * severity),
}
SPOILT = {
    "camera_fault": ("blur", "noise", "dead pixels", "overexposed"),
    "lighting": ("less light", "haze", "colour"),
    "geometry": ("turn", "shift", "zoom"),
}
PLANTED: dict[str, Callable[[Scenes, Chance, int], tuple[Window, str]]] = {
    **{cause: partial(_plant_damage, kinds) for cause, kinds in SPOILT.items()},
    "class_prior": _plant_priors,
    "new_class": _plant_new_class,
    "label_noise": _plant_label_noise,
    "concept_change": _plant_concept,
    "worn lens": _plant_worn_lens,
}
