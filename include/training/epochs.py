"""What one pass over the training images came to."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Epoch:
    """One pass over the training images, and how the model did on the validation images after it."""

    number: int
    train_loss: float
    validation_loss: float
    validation_accuracy: float
    learning_rate: float
    seconds: float

    @property
    def rank(self) -> tuple[float, float]:
        """Order of epochs: the more accurate one is better; of two alike, the one with the lower validation loss."""
        return self.validation_accuracy, -self.validation_loss
