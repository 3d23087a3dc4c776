"""A camera that photographs handwritten digits: the outside world of the demo, no part of the pipeline."""

from examples.camera.delivery import deliver_day as deliver_day
from examples.camera.delivery import label_day as label_day
from examples.camera.lens import CLEAN_LENS as CLEAN_LENS
from examples.camera.lens import WORN_LENS as WORN_LENS
from examples.camera.lens import WORN_LENSES as WORN_LENSES
from examples.camera.lens import Lens as Lens
from examples.camera.lens import photograph as photograph
from examples.camera.specimens import ARRIVAL_SPECIMENS as ARRIVAL_SPECIMENS
from examples.camera.specimens import LIVE_SPECIMENS as LIVE_SPECIMENS
from examples.camera.specimens import true_label as true_label
