"""Begin from the champion's weights instead of from nothing."""

import logging

from include.contracts import ModelRef
from include.ledger import Ledger
from include.ledger.audit import CHAMPION
from include.ledger.models import find_alias, find_model_version
from include.project import Project
from include.tracking import Tracking
from include.vision.weights import DESCRIPTION, DESCRIPTIONS, WEIGHTS, ModelDescription

logger = logging.getLogger(__name__)


def begin_from_champion(project: Project, ledger: Ledger, tracking: Tracking) -> Project:
    """Return the project with the champion's weights as those to begin from, where it asks for a warm start.

    Without a champion of the same classes and network it is trained in full, as the log and the settings then say.
    """
    if project.training.mode != "warm_start":
        return project
    number = find_alias(ledger, project.name, CHAMPION)
    champion = find_model_version(ledger, project.name, version=number) if number else None
    weights = _find_weights(project, champion.model, tracking) if champion else None
    if weights is None:
        logger.warning("no champion of the same classes and network to begin from; training in full")
    begun = {"weights": weights} if weights else {"mode": "full"}
    return project.model_copy(update={"training": project.training.model_copy(update=begun)})


def _find_weights(project: Project, champion: ModelRef, tracking: Tracking) -> str | None:
    folder = tracking.fetch_candidate(champion)
    description = DESCRIPTIONS.validate_json((folder / DESCRIPTION).read_text())
    if not isinstance(description, ModelDescription):
        return None
    wanted, given = project.training, description.training
    same_network = (wanted.architecture, wanted.image_size) == (given.architecture, given.image_size)
    return str(folder / WEIGHTS) if same_network and description.classes == project.classes else None
