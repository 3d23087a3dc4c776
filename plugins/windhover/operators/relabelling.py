"""The operator that asks people what images show that a model does not know."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import AirflowSkipException

from include.contracts import NONE_OF_THESE
from windhover.links import CONTACT_SHEET, page_of
from windhover.operators.stage import StageOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.contracts import DriftReport

LABELLED, LATER = "Labelled", "Not now"


class RelabelImagesOperator(HITLOperator, StageOperator):
    """Show people images of a window, and wait for their labels under *Required Actions*.

    They come back as feedback, by which the accuracy in service is measured, and the project's owner hears what came of
    it. An image left empty, or of none of the classes, stays without a label. Where the decision asks for no labels,
    the task is skipped.

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
        from include.contracts import ActionDecision

        decision, project = ActionDecision.model_validate(self.decision), self.read_project()
        if decision.action != "relabel":
            raise AirflowSkipException(f"the decision is to {decision.action}, not to relabel")
        from include.ledger.episodes import answer_episode
        from include.monitoring.relabelling import choose_images

        chosen = choose_images(project, decision.episode, self._choose_window(), self.open_store(), decision.relabel)
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
        from include.monitoring.relabelling import record_labels, report_labels

        answer = super().execute_complete(context, event)
        person = (answer["responded_by_user"] or {}).get("name")
        episode, run = ActionDecision.model_validate(self.decision).episode, context["run_id"]
        if answer["chosen_options"] != [LABELLED]:
            release_episode(self.open_ledger(), episode, run)
            raise AirflowSkipException(f"no labels came: {person or 'nobody'} had time; the next window asks again")
        project, form = self.read_project(), answer["params_input"]
        said = {request: label for request, label in form.items() if label}
        found = record_labels(project, said, self._choose_window(), self.open_store())
        incident = report_labels(project, episode, found, len(form), self.open_ledger(), run)
        told = f"; incident {incident}" if incident else ""
        self.log.info("%s labelled %d images, %d as none of the classes%s", person, found.labelled, found.none, told)
        return {"labelled": found.labelled, "none": found.none, "wrong": found.wrong, "by": person}

    def _choose_window(self) -> "DriftReport":
        """Return the window whose images are shown."""
        from include.contracts import DriftReport, EpisodeReport, PerformanceReport
        from include.monitoring.episodes import choose_window

        measured = DriftReport.model_validate(self.drift), PerformanceReport.model_validate(self.performance)
        return choose_window(EpisodeReport.model_validate(self.episode), *measured)[0]


def make_form(requests: Sequence[str], classes: Sequence[str]) -> ParamsDict:
    """Offer one field an image, in the order of the sheet, named by its request; it may show none of the classes."""
    fields = {
        request: Param(
            None,
            type=["null", "string"],
            enum=[None, *classes, NONE_OF_THESE],
            title=f"Image {number}",
            description=request,
        )
        for number, request in enumerate(requests, 1)
    }
    return ParamsDict(fields)
