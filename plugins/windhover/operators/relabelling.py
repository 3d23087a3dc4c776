"""The operator that asks people what images show that a model does not know."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import AirflowSkipException

from windhover.links import CONTACT_SHEET, page_of
from windhover.operators.stage import StageOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

LABELLED, LATER = "Labelled", "Not now"


class RelabelImagesOperator(HITLOperator, StageOperator):
    """Show people images of a window, and wait for their labels under *Required Actions*.

    They come back as feedback, by which the accuracy in service is measured. An image left empty stays without a label.
    Where the decision asks for no labels, the task is skipped.

    :param decision: An `ActionDecision`.
    :param episode: The `EpisodeReport` that it is about.
    :param drift: The `DriftReport` of this run's window.
    :param performance: The `PerformanceReport` of it.
    :param hours: How long it waits.
    """

    template_fields: Sequence[str] = ("project", "decision", "episode", "drift", "performance")
    template_fields_renderers: ClassVar[dict[str, str]] = dict.fromkeys(template_fields, "json")
    operator_extra_links = (CONTACT_SHEET,)

    def __init__(
        self,
        *,
        decision: dict[str, Any],
        episode: dict[str, Any],
        drift: dict[str, Any],
        performance: dict[str, Any],
        hours: float,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            subject="What do these images show?",
            options=[LABELLED, LATER],
            defaults=LATER,
            response_timeout=timedelta(hours=hours),
            **kwargs,
        )
        self.decision = decision
        self.episode = episode
        self.drift = drift
        self.performance = performance

    def execute(self, context: "Context") -> Any:
        from include.contracts import ActionDecision, DriftReport, EpisodeReport, PerformanceReport

        decision, project = ActionDecision.model_validate(self.decision), self.read_project()
        if decision.action != "relabel":
            raise AirflowSkipException(f"the decision is to {decision.action}, not to relabel")
        from include.ledger.episodes import answer_episode
        from include.monitoring.episodes import choose_window
        from include.monitoring.relabelling import choose_images

        measured = DriftReport.model_validate(self.drift), PerformanceReport.model_validate(self.performance)
        drift, _ = choose_window(EpisodeReport.model_validate(self.episode), *measured)
        chosen = choose_images(project, decision.episode, drift, self.open_store(), decision.relabel)
        # Claimed before anybody is asked, or the run of the next hour would ask as well.
        if not answer_episode(self.open_ledger(), decision.episode, context["run_id"]):
            raise AirflowSkipException("another run has asked already")
        self.evidence["Contact sheet"] = page_of(chosen.page)
        self.body = f"[The images]({page_of(chosen.page)}), numbered. Leave empty what you cannot tell."
        self.params = make_form(chosen.requests, project.classes)
        return super().execute(context)

    def execute_complete(self, context: "Context", event: dict[str, Any]) -> dict[str, Any]:
        from include.contracts import ActionDecision
        from include.ledger.episodes import release_episode
        from include.monitoring.relabelling import record_labels

        answer = super().execute_complete(context, event)
        person = (answer["responded_by_user"] or {}).get("name")
        if answer["chosen_options"] != [LABELLED]:
            release_episode(self.open_ledger(), ActionDecision.model_validate(self.decision).episode)
            raise AirflowSkipException(f"no labels came: {person or 'nobody'} had time; the next window asks again")
        labels = {request: label for request, label in answer["params_input"].items() if label}
        count = record_labels(self.read_project(), labels, self.open_store())
        self.log.info("%s labelled %d images", person, count)
        return {"labelled": count, "by": person}


def make_form(requests: Sequence[str], classes: Sequence[str]) -> ParamsDict:
    """Offer one field an image, in the order of the sheet, named by its request."""
    fields = {
        request: Param(
            None, type=["null", "string"], enum=[None, *classes], title=f"Image {number}", description=request
        )
        for number, request in enumerate(requests, 1)
    }
    return ParamsDict(fields)
