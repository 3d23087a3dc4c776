"""Show which parts of an image a model's answer rests on.

Integrated gradients: Sundararajan et al., "Axiomatic attribution for deep networks" (2017). GradientShap: Lundberg and
Lee, "A unified approach to interpreting model predictions" (2017). LIME on superpixels: Ribeiro et al., "Why should I
trust you?" (2016), with SLIC: Achanta et al. (2012). Occlusion: Zeiler and Fergus (2014). All as in captum.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from include.errors import ContractViolationError
from include.vision.networks import Classifier
from include.vision.onnx_network import OnnxNetwork

STEPS = 64
# GradientShap draws its points; its sum comes as near as this many let it.
SAMPLES = 256
PERTURBED = 200
AT_ONCE = 64
SUPERPIXELS = 40
# Share of the side that is covered at a time; windows overlap by half.
WINDOW = 1 / 6
SEED = 0
# Below this side, in pixels, threads wait for each other longer than they work.
SINGLE_THREAD_SIZE = 64
# Attribution beyond this quantile is drawn at full strength: one pixel must not pale all others.
STRONGEST = 0.99
AGAINST, FOR = np.array([33, 102, 172]), np.array([202, 0, 32])


@dataclass(frozen=True)
class Explanation:
    """What one method says about one image, as the network sees it.

    :ivar attribution: float32 [size, size]; what is above 0 speaks for the class, what is below against it.
    :ivar gap: How far the attributions' sum is from the logit they explain, as a share of it; None where the method
        promises no sum. The logit is counted from that of the baseline.
    """

    method: str
    image: int
    target: int
    attribution: NDArray[np.float32]
    gap: float | None


def explain_images(
    classifier: Classifier, images: Sequence[NDArray[np.uint8]], targets: Sequence[int], methods: Sequence[str]
) -> list[Explanation]:
    """Explain the logit of a class for each image by each method, image by image; the same input gives the same output.

    What is absent is the training images' mean colour; for GradientShap, any of the images given.

    :param images: uint8 RGB [H, W, 3] of any sizes.
    :param targets: Output of the model to explain for each image.
    :param methods: Of `METHODS`.
    :raises ContractViolationError: no such method for this model, or a target that is none of the model's classes.
    """
    known = list_methods(classifier)
    unknown = sorted(set(methods) - set(known))
    if unknown:
        raise ContractViolationError(f"no explanation method {', '.join(unknown)}; there are {', '.join(known)}")
    strange = sorted({target for target in targets if not 0 <= target < classifier.classes})
    if strange:
        raise ContractViolationError(f"targets {strange} are no outputs of a model of {classifier.classes} classes")
    if not len(images):
        return []
    with _reproducible(classifier):
        inputs = classifier.preprocess.prepare(images)
        found = {method: METHODS[method](classifier.network, inputs, torch.tensor(targets)) for method in methods}
    return [
        Explanation(method, place, target, found[method][0][place], found[method][1][place])
        for place, target in enumerate(targets)
        for method in methods
    ]


def list_methods(classifier: Classifier) -> list[str]:
    """List the methods that can explain a model: through an imported ONNX graph flows no gradient."""
    blind = isinstance(classifier.network, OnnxNetwork)
    return [method for method in METHODS if not (blind and method in NEED_GRADIENTS)]


def draw_overlay(image: NDArray[np.uint8], explanation: Explanation) -> NDArray[np.uint8]:
    """Lay an explanation over its image, uint8 [size, size, 3]: red speaks for the class, blue against it."""
    attribution = explanation.attribution
    size = attribution.shape[::-1]
    grey = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    strongest = max(float(np.quantile(np.abs(attribution), STRONGEST)), np.finfo(np.float32).tiny)
    strength = np.clip(np.abs(attribution) / strongest, 0, 1)[..., np.newaxis]
    colour = np.where((attribution > 0)[..., np.newaxis], FOR, AGAINST)
    # Pale, so that both colours show on black and on white.
    pale = 120 + 0.5 * grey[..., np.newaxis].astype(np.float64)
    return np.asarray(np.rint(pale * (1 - strength) + colour * strength), dtype=np.uint8)


@contextmanager
def _reproducible(classifier: Classifier) -> Iterator[None]:
    threads, drawn = torch.get_num_threads(), np.random.get_state()  # noqa: NPY002 - captum draws from it
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(SEED)
        np.random.seed(SEED)  # noqa: NPY002
        classifier.eval()
        torch.set_num_threads(1 if classifier.preprocess.size <= SINGLE_THREAD_SIZE else threads)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            np.random.set_state(drawn)  # noqa: NPY002


Attributed = tuple[NDArray[np.float32], list[float | None]]
Method = Callable[[nn.Module, torch.Tensor, torch.Tensor], Attributed]


def _integrated_gradients(network: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> Attributed:
    from captum.attr import IntegratedGradients

    absent = torch.zeros_like(inputs)
    found = IntegratedGradients(network).attribute(
        inputs, absent, target=targets, n_steps=STEPS, internal_batch_size=max(AT_ONCE, len(inputs))
    )
    return _flatten(found), _measure_gaps(network, found, inputs, absent, targets)


def _gradient_shap(network: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> Attributed:
    from captum.attr import GradientShap

    # One image has no others to compare it with.
    absent = inputs if len(inputs) > 1 else torch.zeros_like(inputs)
    found = torch.cat(
        [
            GradientShap(network).attribute(one[None], absent, n_samples=SAMPLES, target=int(target))
            for one, target in zip(inputs, targets, strict=True)
        ]
    )
    return _flatten(found), _measure_gaps(network, found, inputs, absent, targets)


def _lime(network: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> Attributed:
    from captum.attr import Lime

    found = [
        Lime(_without_gradient(network)).attribute(
            one[None],
            target=int(target),
            feature_mask=_find_superpixels(one),
            n_samples=PERTURBED,
            perturbations_per_eval=AT_ONCE,
        )
        for one, target in zip(inputs, targets, strict=True)
    ]
    return _flatten(torch.cat(found) / inputs.shape[1]), [None] * len(inputs)


def _occlusion(network: nn.Module, inputs: torch.Tensor, targets: torch.Tensor) -> Attributed:
    from captum.attr import Occlusion

    channels, side = inputs.shape[1], max(2, round(inputs.shape[2] * WINDOW))
    found = Occlusion(_without_gradient(network)).attribute(
        inputs,
        sliding_window_shapes=(channels, side, side),
        strides=(channels, side // 2, side // 2),
        target=targets,
        perturbations_per_eval=max(1, AT_ONCE // len(inputs)),
    )
    return _flatten(found / channels), [None] * len(inputs)


METHODS: dict[str, Method] = {
    "integrated_gradients": _integrated_gradients,
    "gradient_shap": _gradient_shap,
    "lime": _lime,
    "occlusion": _occlusion,
}


NEED_GRADIENTS = ("integrated_gradients", "gradient_shap")


def _without_gradient(network: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    return torch.no_grad()(lambda inputs: network(inputs))


def _find_superpixels(image: torch.Tensor) -> torch.Tensor:
    """Cut an input [3, size, size] into superpixels: their numbers, from 0, [1, 1, size, size]."""
    from skimage.segmentation import slic

    pixels = image.permute(1, 2, 0).numpy()
    # SLIC compares colours of 0-1 with distances; smoothed, as noise would tear superpixels, and shreds are merged.
    scaled = (pixels - pixels.min()) / max(float(np.ptp(pixels)), 1e-6)
    segments: Any = slic(scaled, n_segments=SUPERPIXELS, sigma=1, start_label=0, channel_axis=-1)
    return torch.from_numpy(segments.astype(np.int64))[None, None]


def _flatten(attribution: torch.Tensor) -> NDArray[np.float32]:
    flat: NDArray[np.float32] = attribution.detach().sum(dim=1).to(torch.float32).numpy()
    return flat


def _measure_gaps(
    network: nn.Module, found: torch.Tensor, inputs: torch.Tensor, absent: torch.Tensor, targets: torch.Tensor
) -> list[float | None]:
    """Measure how far attributions are from adding up to the logit less the mean logit of the baselines."""
    with torch.no_grad():
        explained = network(inputs).gather(1, targets[:, None])[:, 0] - network(absent)[:, targets].mean(dim=0)
    total = found.detach().flatten(1).sum(dim=1)
    gaps: list[float | None] = ((total - explained).abs() / explained.abs().clamp(min=1e-6)).tolist()
    return gaps
