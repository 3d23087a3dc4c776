"""What a model is for, whom it concerns and who answers for it: the sections of a project file that people sign."""

from typing import Literal

from pydantic import Field, model_validator

from include.contracts import Contract


class EthicsConfig(Contract):
    """The questions about harm that a model card answers (Mitchell et al. 2019, section 4.8); empty: not answered."""

    people: str = Field(default="", description="Who is to be seen in the images, and did they agree?")
    sensitive: str = Field(default="", description="What in the data is sensitive, such as faces or health?")
    harm: str = Field(default="", description="What harm does a wrong answer do, and to whom?")
    fairness: str = Field(default="", description="Who may be served worse than others, and how is that measured?")
    misuse: str = Field(default="", description="What could the model be abused for, and what stands against it?")
    oversight: str = Field(default="", description="Who can overrule an answer, and how?")

    @property
    def checklist(self) -> dict[str, str]:
        """The questions with their answers."""
        return {field.description or name: getattr(self, name) for name, field in type(self).model_fields.items()}


class GovernanceConfig(Contract):
    """What goes onto the model card beside what was measured, and who approves a release."""

    intended_use: str = Field(default="", description="What the model is for, and who uses its answers.")
    out_of_scope: str = Field(default="", description="What it must not be used for.")
    limits: str = Field(default="", description="What is known not to work.")
    stakeholders: tuple[str, ...] = Field(default=(), description="Whom the answers concern, a line each.")
    ethics: EthicsConfig = EthicsConfig()
    approval: Literal["auto", "first_release", "always"] = Field(
        default="auto", description="Which promotions a human approves."
    )
    approval_hours: float = Field(default=72.0, gt=0, description="No answer for this long is a rejection.")

    @model_validator(mode="after")
    def _approvers_read_answers(self) -> "GovernanceConfig":
        if self.approval == "auto":
            return self
        missing = [name for name in ("intended_use", "stakeholders") if not getattr(self, name)]
        missing += [f"ethics.{name}" for name in EthicsConfig.model_fields if not getattr(self.ethics, name)]
        if missing:
            raise ValueError(f"approval {self.approval!r} needs answers for whoever approves: {', '.join(missing)}")
        return self
