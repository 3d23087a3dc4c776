"""What might be learned instead of what is shown."""

from pydantic import Field

from include.contracts.contract import Contract, Count, Fraction
from include.contracts.data import DatasetRef


class CueReport(Contract):
    """How far one cue alone, without what the image shows, leads to the label."""

    cue: str
    effect: float = Field(default=0.0, description="Balanced accuracy out of sample, from chance (0) to perfect (1).")
    label: str = Field(default="", description="The class that it gives away most.")
    label_effect: float = Field(default=0.0, description="Cohen's kappa of telling that class from the others.")
    p_value: Fraction = Field(default=1.0, description="Of a permutation test, Bonferroni-corrected over all cues.")
    suspicious: bool = False
    observed: str = Field(description="What was found in words, or why nothing could be examined.")


class ShortcutReport(Contract):
    """What could be learned from a dataset version instead of what its images show."""

    dataset: DatasetRef
    images: Count = Field(description="Images examined, of train and validation, at most one of a group.")
    cues: tuple[CueReport, ...] = Field(description="Strongest first.")
    straddling: dict[str, Count] = Field(
        description="Images by split, with a near-duplicate in a split that is more sealed."
    )
    left_out: bool = Field(description="Whether training and evaluation leave the straddling images out.")

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to look into before training, one sentence each."""
        found = [f"{one.cue}: {one.observed}" for one in self.cues if one.suspicious]
        twins = sum(self.straddling.values())
        if twins and not self.left_out:
            found.append(
                f"near-duplicates: {twins} images also stand in a more sealed split, and data.near_duplicate_bits is "
                "0, so that they are learned by heart and examined; set it to 4"
            )
        return tuple(found)


class CueRemovalReport(Contract):
    """What is left of a model's accuracy when a cue is taken out of its test images."""

    cue: str
    images: Count
    accuracy: Fraction = Field(description="With the cue removed.")
    drop: float = Field(description="Accuracy lost.")
    control_drop: float = Field(description="Accuracy lost when as much is removed elsewhere.")
    p_value: Fraction = Field(description="Exact McNemar test of removal against control, Bonferroni-corrected.")
    suspicious: bool = Field(description="The model leans on the cue.")
