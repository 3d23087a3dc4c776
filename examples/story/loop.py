"""The loop that a candidate goes through by itself: trained, judged, approved by a person, deployed."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from examples.story.airflow_client import AirflowClient
from examples.story.errors import require
from examples.story.traffic import Sample, Traffic

PROJECT = "digits"
INGEST, TRAIN, PROMOTE, DEPLOY, MONITOR = (
    f"{PROJECT}.{dag}" for dag in ("ingest_images", "train_model", "promote_model", "deploy_model", "monitor_model")
)
LOOP = (INGEST, TRAIN, PROMOTE, DEPLOY)
BY_HAND = tuple(
    f"{PROJECT}.{dag}" for dag in (
        "release_quarantine", "forget_images", "import_model", "switch_release", "retire_model", "maintain_platform",
    )
)  # fmt: skip
# A diagnosis takes a minute at most.
ASKING_SECONDS = 180


@dataclass
class Outcome:
    """What happened, measured."""

    samples: dict[str, Sample] = field(default_factory=dict)
    background: list[Sample] = field(default_factory=list)
    promotions: list[dict[str, Any]] = field(default_factory=list)
    rollouts: list[dict[str, Any]] = field(default_factory=list)
    approved: int = 0
    links: dict[str, str] = field(default_factory=dict)
    drift: dict[str, Any] = field(default_factory=dict)


def follow_candidate(airflow: AirflowClient, traffic: Traffic, outcome: Outcome, known: dict[str, set[str]]) -> str:
    """Wait until what was started has been trained, judged and, if it is better, deployed; return the verdict.

    :param known: The runs of each DAG that were there before.
    """
    trained = airflow.wait_for_new_run(TRAIN, known[TRAIN])
    outcome.links["MLflow run"] = airflow.link(TRAIN, trained, "train_candidate", "MLflow run")
    promoted = airflow.find_new_run(PROMOTE, known[PROMOTE])
    outcome.approved += _approve(airflow, promoted)
    decision = airflow.result(PROMOTE, promoted, "decide_promotion")
    outcome.promotions.append(decision)
    for task, name in (("evaluate_candidate", "Evaluation"), ("explain_candidate", "Explanations")):
        outcome.links[name] = airflow.link(PROMOTE, promoted, task, name)
    if decision["verdict"] == "promote":
        outcome.links["Model card"] = airflow.link(PROMOTE, promoted, "register_model", "Model card")
        deployed = airflow.wait_for_new_run(DEPLOY, known[DEPLOY])
        outcome.rollouts.append(airflow.result(DEPLOY, deployed, "judge_rollout"))
        outcome.links["Endpoint"] = airflow.link(DEPLOY, deployed, "complete_rollout", "Endpoint", traffic.http)
        outcome.links["Rollouts"] = airflow.link(DEPLOY, deployed, "judge_rollout", "Rollouts")
        outcome.links["Release notes"] = airflow.link(DEPLOY, deployed, "write_release_notes", "Release notes")
        require(traffic.ask_once() == traffic.find_release(), "the new release answers")
    return str(decision["verdict"])


def find_asking(airflow: AirflowClient, since: datetime) -> str:
    """Wait until the monitor asks for a retraining, and return the run that did; one of the schedule may be first."""
    return airflow.find_done(MONITOR, "request_retraining", since, ASKING_SECONDS)


def describe_rollout(report: dict[str, Any]) -> str:
    """Say how a release went into service, and by what."""
    strategy = report["rollout"]["strategy"]
    judged = [f"{one['metric'].replace('_', ' ')} {one['verdict']}" for one in report["metrics"]]
    return f"{strategy} rollout judged live on {report['requests']} of its requests: {', '.join(judged)}"


def _approve(airflow: AirflowClient, run: str) -> int:
    """Agree as an approver does, evidence first, where the project asks for a person; return how often it asked."""
    asked = airflow.wait_for_question(PROMOTE, run, "approve_promotion")
    if asked:
        airflow.link(PROMOTE, run, "approve_promotion", "Evaluation")
        reason = "evaluation and explanations were read; the floors are met"
        airflow.answer_until_done(PROMOTE, run, "approve_promotion", "Approve", reason)
    airflow.wait_for_run(PROMOTE, run)
    return int(asked)
