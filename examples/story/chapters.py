"""The story, chapter by chapter. Each chapter does what a person would do, and requires that it really happened."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from examples.camera import (
    ARRIVAL_SPECIMENS,
    CLEAN_LENS,
    WORN_LENSES,
    Lens,
    deliver_day,
    label_day,
)
from examples.story.airflow_client import AirflowClient
from examples.story.calendar import DAYS_PER_PLAY, Play
from examples.story.errors import StoryError, require
from examples.story.loop import (
    BY_HAND,
    INGEST,
    LOOP,
    MONITOR,
    PROJECT,
    PROMOTE,
    TRAIN,
    Outcome,
    describe_rollout,
    find_asking,
    follow_candidate,
)
from examples.story.traffic import Sample, Traffic

SAMPLE = 300
REQUESTS_PER_SECOND = 10
HISTORY, TODAY, WORN = slice(0, 5), 5, slice(6, 8)
# The serving process writes its log to the store every two seconds.
LOG_SECONDS = 5
# What a worn lens may be found to be; nobody called it by one name when it was made.
FAULTS = ("camera_fault", "geometry", "lighting")


@dataclass
class Story:
    """The stage: an Airflow to drive, an endpoint to ask, a drop folder to deliver into."""

    airflow: AirflowClient
    traffic: Traffic
    landing: Path
    play: Play
    outcome: Outcome = field(default_factory=Outcome)
    last_day: str = field(init=False)
    checked_at: datetime = field(init=False)
    known: dict[str, set[str]] = field(init=False)

    @property
    def worn_lens(self) -> Lens:
        """How the lens fails this time; every play differs."""
        return WORN_LENSES[(self.play.number - 1) % len(WORN_LENSES)]

    def specimens(self, day: str) -> list[int]:
        """Divide the photographed specimens among the days of a play."""
        return list(ARRIVAL_SPECIMENS)[self.play.days.index(day) :: DAYS_PER_PLAY]

    def open_curtain(self) -> str:
        """Set up the drop folder, unpause the DAGs and let runs of an earlier play end."""
        (self.landing / PROJECT).mkdir(parents=True, exist_ok=True)
        for dag_id in (*LOOP, MONITOR, *BY_HAND):
            self.airflow.unpause(dag_id)
        if errors := self.airflow.import_errors():
            raise StoryError(f"Airflow has import errors: {errors[0]}")
        self.airflow.answer(PROMOTE, "Reject", "asked by a play that was interrupted")
        self.airflow.settle(LOOP)
        return f"{len(LOOP) + len(BY_HAND) + 1} DAGs unpaused, no import errors"

    def backfill_history(self) -> str:
        """Days of photographs with labels, one file corrupt and one label wrong, ingested by Airflow's backfill."""
        days = self.play.days[HISTORY]
        for number, day in enumerate(days):
            self._deliver(day, CLEAN_LENS, labelled=True, corrupt=int(number == 1), mislabelled=int(number == 3))
        runs = self.airflow.backfill(INGEST, days)
        self.last_day = str(max(runs, key=lambda run: run["partition_key"])["dag_run_id"])
        reports = [self.airflow.result(INGEST, run["dag_run_id"], "validate_images") for run in runs]
        reasons: Counter[str] = Counter()
        for report in reports:
            require(
                report["seen"] == report["accepted"] + report["duplicates"] + report["quarantined"], "counts add up"
            )
            reasons.update(report["reasons"])
        require(reasons["truncated"] == 1, f"the corrupt file is in quarantine (found {dict(reasons)})")
        require(reasons["unknown_class"] == 1, f"the wrong label is in quarantine (found {dict(reasons)})")
        self.outcome.links["Quarantine"] = self.airflow.link(
            INGEST, runs[3]["dag_run_id"], "validate_images", "Quarantine"
        )
        seen, accepted = (sum(report[key] for report in reports) for key in ("seen", "accepted"))
        found = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
        return f"{len(days)} days, {seen} images: {accepted} accepted, in quarantine: {found}"

    def read_data_docs(self) -> str:
        """Great Expectations' verdict on the last day of the backfill, opened from the task's link."""
        report = self.airflow.result(INGEST, self.last_day, "validate_images")
        self.outcome.links["Data Docs"] = self.airflow.link(INGEST, self.last_day, "validate_images", "Data Docs")
        met = sum(expectation["success"] for expectation in report["expectations"])
        require(met == len(report["expectations"]) > 0, "every expectation is met")
        return f"{met} of {met} expectations met, Data Docs open from the task"

    def turn_the_loop(self) -> str:
        """One more day arrives, and assets carry it through training, promotion and deployment."""
        known = {dag: self.airflow.run_ids(dag) for dag in LOOP}
        day = self.play.days[TODAY]
        self._deliver(day, CLEAN_LENS, labelled=True)
        self.airflow.wait_for_run(INGEST, self.airflow.trigger(INGEST, partition=day))
        with self._live_traffic(CLEAN_LENS):
            verdict = follow_candidate(self.airflow, self.traffic, self.outcome, known)
        require(verdict == "promote" or self.traffic.find_release() is not None, "some model serves")
        approved = ", approved by a person" if self.outcome.approved else ""
        return f"{verdict}{approved}: {self._describe_promotion()}"

    def watch_healthy_traffic(self) -> str:
        """Healthy traffic, answered and labelled."""
        sample = self._sample("before", CLEAN_LENS)
        return f"{sample.answered} requests answered, {sample.accuracy:.1%} right"

    def monitor_healthy_traffic(self) -> str:
        """The monitor looks at healthy traffic and lets it pass."""
        _, report = self._monitor(self.outcome.samples["before"])
        self.airflow.settle(LOOP)
        return str(report["summary"])

    def wear_the_lens(self) -> str:
        """Degraded days arrive without labels and teach nothing yet; labels come later, and the days are re-run."""
        days = self.play.days[WORN]
        known = self.airflow.run_ids(TRAIN)
        for day in days:
            self._deliver(day, self.worn_lens, labelled=False)
            self.airflow.wait_for_run(INGEST, self.airflow.trigger(INGEST, partition=day))
        unlabelled = self.airflow.wait_for_new_run(TRAIN, known)
        states = self.airflow.task_states(TRAIN, unlabelled)
        require(states["train_candidate"] == "skipped", "images without labels start no training")
        self.airflow.settle(LOOP)
        for day in days:
            label_day(self.landing, date.fromisoformat(day), project=PROJECT)
        runs = self.airflow.backfill(INGEST, days, again=True)
        newest = runs[-1]["dag_run_id"]
        dataset = self.airflow.result(INGEST, newest, "publish_dataset")
        self.outcome.links["Datasheet"] = self.airflow.link(INGEST, newest, "describe_dataset", "Datasheet")
        self.outcome.links["Datasets"] = f"{self.airflow.url}/windhover/catalogue"
        labelled = f"{dataset['labelled']} of {dataset['images']} labelled"
        return f"{self.worn_lens}; {len(days)} days re-run when their labels came: {labelled}"

    def watch_answers_suffer(self) -> str:
        """The same model, the same kind of digits, worse photographs."""
        self.known = {dag: self.airflow.run_ids(dag) for dag in LOOP}
        before, during = self.outcome.samples["before"], self._sample("during", self.worn_lens)
        require(during.accuracy < before.accuracy - 0.1, f"accuracy falls (it is {during.accuracy:.1%})")
        return f"{during.answered} requests answered, {during.accuracy:.1%} right"

    def drift_and_retrain(self) -> str:
        """The monitor finds the drift, names its cause, and one retraining request turns the loop by itself."""
        release, known = self.traffic.find_release(), self.known
        with self._live_traffic(self.worn_lens):
            run, report = self._monitor(self.outcome.samples["during"])
            require(report["verdict"] == "drift", f"drift is found ({report['summary']})")
            self.outcome.links["Drift report"] = self.airflow.link(MONITOR, run, "detect_drift", "Drift report")
            self.outcome.drift = report
            diagnosed = self._read_diagnosis(find_asking(self.airflow, self.outcome.samples["during"].started))
            verdict = follow_candidate(self.airflow, self.traffic, self.outcome, known)
            trained = self.airflow.run_ids(TRAIN) - known[TRAIN]
            require(len(trained) == 1, f"one drift episode starts one training (it started {len(trained)})")
            note = self.airflow.wait_for_run(TRAIN, trained.pop())["note"]
            require(str(note).startswith("drift, episode"), f"the note of its run says why (it says {note!r})")
        require(verdict == "promote", f"the candidate beats the champion ({self._describe_promotion()})")
        require(self.traffic.find_release() != release, "another release serves")
        rollout = self.outcome.rollouts[-1]
        require(rollout["rollout"]["strategy"] == "canary", "the new release goes into service as a canary")
        answered = len(self.outcome.background[-1].releases)
        require(answered == 2, f"the canary and the champion answer side by side ({answered} release(s) did)")
        return f"{diagnosed}; {self._describe_promotion()}; {describe_rollout(rollout)}"

    def watch_recovered_traffic(self) -> str:
        """The same worn lens, the new model."""
        during, after = self.outcome.samples["during"], self._sample("after", self.worn_lens)
        require(after.accuracy > during.accuracy + 0.1, f"accuracy recovers (it is {after.accuracy:.1%})")
        samples = [*self.outcome.samples.values(), *self.outcome.background]
        failures = [failure for sample in samples for failure in sample.failures]
        require(not failures, f"no request fails ({len(failures)} did, the first: {failures[:1]})")
        answered = sum(sample.answered for sample in samples)
        return f"{after.accuracy:.1%} right; none of {answered} requests failed, releases swapped under traffic"

    @contextmanager
    def _live_traffic(self, lens: Lens) -> Iterator[None]:
        """Keep requests coming, by which a rollout is judged; nobody asks before the first release answers."""
        if self.traffic.find_release() is None:
            yield
            return
        with self.traffic.keep_sending(lens, REQUESTS_PER_SECOND) as background:
            self.outcome.background.append(background)
            yield

    def _deliver(self, day: str, lens: Lens, *, labelled: bool, corrupt: int = 0, mislabelled: int = 0) -> None:
        deliver_day(
            self.landing,
            date.fromisoformat(day),
            self.specimens(day),
            lens=lens,
            labelled=labelled,
            corrupt=corrupt,
            mislabelled=mislabelled,
            project=PROJECT,
        )

    def _sample(self, name: str, lens: Lens) -> Sample:
        sample = self.outcome.samples[name] = self.traffic.send(lens, SAMPLE)
        require(not sample.failures, f"every request is answered (first failure: {sample.failures[:1]})")
        return sample

    def _monitor(self, sample: Sample) -> tuple[str, dict[str, Any]]:
        """Run the monitor by hand on the window since a sample began, once its last answers are in the log."""
        time.sleep(LOG_SECONDS)
        self.checked_at = datetime.now(UTC)
        run = self.airflow.trigger(MONITOR, {"start": sample.started.isoformat()})
        self.airflow.wait_for_run(MONITOR, run)
        return run, self.airflow.result(MONITOR, run, "detect_drift")

    def _read_diagnosis(self, run: str) -> str:
        """Read why the monitor thinks that the window differs, and what it has decided; require that it knows."""
        episode, diagnosis, decision = (
            self.airflow.result(MONITOR, run, task) for task in ("wait_for_drift", "diagnose_drift", "decide_action")
        )
        require(diagnosis["cause"] in FAULTS, f"the camera is to blame (found {diagnosis['name']})")
        require(decision["action"] == "retrain", f"a training follows (not to {decision['action']})")
        # On the hour, a run of the schedule may have been first.
        waited = max(0.0, (datetime.fromisoformat(episode["opened_at"]) - self.checked_at).total_seconds())
        opened = f"episode {episode['id']} open {waited:.0f} s after the check began"
        gain = decision["predicted_gain"]
        return f"{diagnosis['name']} ({opened}" + (f", a training should gain {gain:+.0%})" if gain else ")")

    def _describe_promotion(self) -> str:
        candidate, champion = (self.outcome.promotions[-1][name] for name in ("candidate", "champion"))
        against = f" against the champion's {champion['accuracy']:.1%}" if champion else ", the first model"
        return f"candidate {candidate['accuracy']:.1%}{against} on the same {candidate['images']} sealed images"
