"""Operators that put models into service and take them out again."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk.exceptions import AirflowSkipException

from include.errors import ArtifactNotFoundError, ContractViolationError
from windhover.assets import announce, read_announcement
from windhover.links import ENDPOINT, MODEL_CARD, RELEASE_NOTES, ROLLOUTS, page_of, rollouts_of
from windhover.operators.stage import StageOperator, name_attempt

if TYPE_CHECKING:
    from airflow.sdk import Context

    from include.contracts import ReleasePlan
    from include.ledger import Ledger


class PackageModelOperator(StageOperator):
    """Export the newest certified version to a servable release, and prove that both answer alike."""

    operator_extra_links = (MODEL_CARD,)

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.contracts import ModelVersionRef
        from include.deployment.package import package_model
        from include.registry.model_card import card_address

        announcement = read_announcement(self.inlets[0], context)
        if announcement is None:
            raise ArtifactNotFoundError("no model was ever certified; run the project's promote_model DAG first")
        version = ModelVersionRef.model_validate(announcement)
        self.evidence["Model card"] = page_of(card_address(version))
        release = package_model(
            version, self.read_project(), self.open_store(), self.open_ledger(), self.open_tracking()
        )
        return release.model_dump(mode="json")


class ChooseStrategyOperator(StageOperator):
    """Choose how a release goes into service: as the run's form says, else the project file, else as recommended.

    :param release: A `ReleaseRef`.
    """

    template_fields: Sequence[str] = ("project", "release")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "release": "json"}
    operator_extra_links = (ROLLOUTS,)

    def __init__(self, *, release: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.release = release

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.contracts import ReleaseRef
        from include.deployment.recommend import read_facts, recommend_strategy

        project = self.read_project()
        self.evidence["Rollouts"] = rollouts_of(project.name)
        facts = read_facts(project, ReleaseRef.model_validate(self.release), self.open_ledger(), self.open_store())
        decision = recommend_strategy(project, facts, context["params"]["strategy"])
        self.log.info("%s: %s", decision.strategy, "; ".join(decision.reasons))
        return decision.model_dump(mode="json")


class RollOutOperator(StageOperator):
    """Let every serving process load a release, and begin its rollout; a freeze window refuses it.

    :param release: A `ReleaseRef`.
    :param decision: A `StrategyDecision`.
    """

    template_fields: Sequence[str] = ("project", "release", "decision")
    template_fields_renderers: ClassVar[dict[str, str]] = dict.fromkeys(template_fields, "json")
    operator_extra_links = (ROLLOUTS,)

    def __init__(self, *, release: dict[str, Any], decision: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.release = release
        self.decision = decision

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.contracts import ReleaseRef, StrategyDecision
        from include.deployment.rollout import start

        project, ledger, store = self.read_project(), self.open_ledger(), self.open_store()
        self.evidence["Rollouts"] = rollouts_of(project.name)
        release, decision = ReleaseRef.model_validate(self.release), StrategyDecision.model_validate(self.decision)
        rollout = start(release, decision, project, ledger, store, context["run_id"])
        return rollout.model_dump(mode="json")


class CompleteRolloutOperator(StageOperator):
    """Crown the model of a rollout that proved itself champion, and close the drift episode it answers.

    :param verdict: A `RolloutReport`.
    """

    template_fields: Sequence[str] = ("project", "verdict")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "verdict": "json"}
    operator_extra_links = (ENDPOINT, ROLLOUTS)

    def __init__(self, *, verdict: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.verdict = verdict

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.contracts import RolloutReport
        from include.deployment.rollout import complete_rollout
        from include.ledger.audit import seal_chain
        from include.ledger.episodes import close_episodes
        from include.registry.aliases import crown_champion

        rollout, ledger = RolloutReport.model_validate(self.verdict).rollout, self.open_ledger()
        project, reason = self.read_project().name, f"rollout {rollout.id} proved itself"
        complete_rollout(rollout, ledger)
        crown_champion(rollout.release.model, ledger, self.open_tracking(), reason=reason, who=name_attempt(context))
        seal_chain(ledger, project, self.open_store())
        close_episodes(ledger, project)
        self.evidence |= {"Endpoint": self.read_settings().serving_page, "Rollouts": rollouts_of(project)}
        announce(reference := rollout.release.model_dump(mode="json"), self.outlets, context)
        return reference


class WriteReleaseNotesOperator(StageOperator):
    """Write what a release brings, why it was let through, how its rollout went, and how to undo it.

    :param rollout: A `RolloutRef`.
    """

    template_fields: Sequence[str] = ("project", "rollout")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "rollout": "json"}
    operator_extra_links = (RELEASE_NOTES,)

    def __init__(self, *, rollout: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rollout = rollout

    def execute(self, context: "Context") -> str:
        from include.contracts import RolloutRef
        from include.deployment.notes import write_release_notes

        rollout, ledger, store = RolloutRef.model_validate(self.rollout), self.open_ledger(), self.open_store()
        address = write_release_notes(rollout, self.read_project(), ledger, store)
        self.evidence["Release notes"] = page_of(address)
        return address


class RollBackOperator(StageOperator):
    """Return to what answered before a rollout, when it did harm or a person marks `judge_rollout` as failed.

    The run's note says why; what a person takes back is on the audit chain. The judge's own verdict has taken the
    traffic away already. The release's notes are written here, too: as a task of its own they would turn the run green.

    :param rollout: A `RolloutRef`; nothing when the run failed before its rollout began.
    """

    template_fields: Sequence[str] = ("project", "rollout")
    template_fields_renderers: ClassVar[dict[str, str]] = {"project": "json", "rollout": "json"}
    operator_extra_links = (ENDPOINT, ROLLOUTS, RELEASE_NOTES)

    def __init__(self, *, rollout: dict[str, Any] | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rollout = rollout

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.contracts import RolloutRef
        from include.deployment.notes import write_release_notes
        from include.deployment.rollout import roll_back
        from include.ledger.audit import seal_chain
        from include.ledger.episodes import close_answered_episode

        if self.rollout is None:
            raise AirflowSkipException("the run failed before anything was rolled out; what answered before answers on")
        rollout, project = RolloutRef.model_validate(self.rollout), self.read_project()
        ledger, store = self.open_ledger(), self.open_store()
        self.evidence |= {"Endpoint": self.read_settings().serving_page, "Rollouts": rollouts_of(project.name)}
        reason = context["dag_run"].note or "judge_rollout failed, or was marked so; its log has the reasons"
        roll_back(rollout, [reason], ledger, who=name_attempt(context), forced=True)
        close_answered_episode(ledger, project.name, "its model was taken back")
        seal_chain(ledger, project.name, store)
        self.evidence["Release notes"] = page_of(write_release_notes(rollout, project, ledger, store))
        return rollout.model_dump(mode="json")


class SwitchReleaseOperator(StageOperator):
    """Let a release that answered before answer again, and wait until every serving process follows.

    The run's form says where `to`, and the `reason`; both are on the audit chain with the name of who filled it in.
    """

    operator_extra_links = (ENDPOINT, ROLLOUTS)

    def execute(self, context: "Context") -> dict[str, Any]:
        from include.deployment.switching import await_followers
        from include.ledger.audit import seal_chain

        project, ledger = self.read_project(), self.open_ledger()
        self.evidence |= {"Endpoint": self.read_settings().serving_page, "Rollouts": rollouts_of(project.name)}
        plan = self._switch_once(project.name, ledger, context)
        seal_chain(ledger, project.name, self.open_store())
        await_followers(plan, ledger, project.deployment.ready_seconds)
        announce(reference := plan.champion.model_dump(mode="json"), self.outlets, context)
        return reference

    def _switch_once(self, project: str, ledger: "Ledger", context: "Context") -> "ReleasePlan":
        """Switch, unless this run has: to an attempt after the switch, `previous` would be one further back."""
        from include.deployment.switching import switch_release
        from include.ledger.plans import find_plan

        form, who, kept = context["params"], context["dag_run"].triggering_user_name, context["task_state_store"]
        plan = find_plan(ledger, project)
        if plan and kept.get("switched"):
            return plan
        revision = plan.revision if plan else 0
        if (began := kept.get("began_at_revision") or revision) != revision:
            raise ContractViolationError(
                f"an earlier attempt began at revision {began} of the plan, and {revision} is in force: it may have "
                f"switched already. Look at the page Rollouts of {project}; where it has not, trigger this anew"
            )
        kept.set("began_at_revision", revision)
        plan = switch_release(project, form["to"], ledger, who=who or "unknown", why=form["reason"])
        kept.set("switched", True)
        return plan
