"""Every strategy on real containers, under traffic, and what is left when an attempt dies."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import docker
import httpx
import pytest

from include.contracts import StrategyDecision
from include.deployment.docker_engine import open_engine
from include.deployment.docker_front import find_pointed
from include.deployment.docker_home import DockerHome
from include.deployment.docker_image import build_serving_image
from include.deployment.docker_target import DockerTarget
from include.deployment.rollout import complete_rollout, open_evidence, roll_back, start, watch_rollout
from include.errors import RolloutFailedError
from include.ledger.plans import find_plan, list_replicas
from include.project import DeploymentPolicy
from include.settings import REPOSITORY, Settings
from tests.conftest import find_free_port, ledger, store
from tests.include.serving.conftest import make_release, png, wait_until
from tests.integration.containers.compose_project import skip_unless_required
from tests.integration.containers.conftest import KEEPER
from tests.rollouts import serve

# A ledger and a store of their own: those of the other integration tests are the running stack's.
__all__ = ["ledger", "make_release", "png", "store", "wait_until"]

pytestmark = [pytest.mark.containers, pytest.mark.timeout(300)]

USER = 10001
TOKEN = "a token of the test"  # noqa: S105
MEBIBYTE = 1024**2
# How long an answer takes is noise here, and versions differ in what they answer.
JUDGE = {"max_error_rate": 0.3, "max_disagreement": 1.0, "max_slowdown": 1000.0}
POLICY = DeploymentPolicy(canary_steps=(0.25, 0.5), step_requests=5, comparisons=20, judge=JUDGE)
SWEEP = "docker ps -aq --filter label=windhover.home={} | xargs -r docker rm -fv"
PREPARE = """
import sys
from include.contracts import ReleaseRef
from include.deployment.docker_target import DockerTarget
from include.settings import Settings
settings = Settings.model_validate_json(sys.argv[1])
DockerTarget(settings, settings.ledger_uri).prepare(ReleaseRef.model_validate_json(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def engine():
    """The engine, with the serving image on it."""
    try:
        engine = docker.from_env()
        engine.ping()
    except docker.errors.DockerException as error:
        where = os.environ.get("DOCKER_HOST", "the default socket")
        skip_unless_required(f"no container engine reachable at {where}: {error}")
    build_serving_image(engine)
    yield engine
    engine.close()


@pytest.fixture
def settings(engine, store, ledger_uri, tmp_path):
    """Locations whose containers go with the test, however pytest dies."""
    settings = Settings(
        home=tmp_path / "home",
        store=store.root,
        ledger_uri=ledger_uri,
        serving_uri=f"http://127.0.0.1:{find_free_port()}",
        serving_token=TOKEN,
        target="docker",
    )
    sweep = ["sh", "-c", SWEEP.format((settings.home / "docker").resolve())]
    keeper = subprocess.Popen([sys.executable, "-c", KEEPER, *sweep], stdin=subprocess.PIPE, start_new_session=True)
    yield settings
    keeper.communicate(timeout=60)


@pytest.fixture
def target(settings):
    return DockerTarget(settings, settings.ledger_uri)


@pytest.fixture
def publish(make_release, store):
    """Publish a small release in a store that containers may write to."""

    def make(version: int):
        release = make_release(version)
        if os.geteuid() == 0:
            for path in [Path(store.root), *Path(store.root).rglob("*")]:
                os.chown(path, USER, USER)
        return release

    return make


class Traffic:
    """Clients that ask through the front until told to stop, and tell what each image showed."""

    def __init__(self, uri: str, image: bytes) -> None:
        self.answers: list[dict] = []
        self.failures: list[str] = []
        self.label: str | None = None
        self._uri, self._image = uri, image
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(3)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        # Every request on a connection of its own: one that is kept may be closed in the moment it is used again.
        headers = {"Authorization": f"Bearer {TOKEN}", "Connection": "close"}
        with httpx.Client(base_url=self._uri, headers=headers, timeout=20, trust_env=False) as client:
            while not self._stop.wait(0.01):
                try:
                    key = uuid.uuid4().hex
                    answer = client.post("/v1/predict", content=self._image, headers={"X-Windhover-Key": key})
                    self.answers.append(answer.raise_for_status().json())
                    if self.label:
                        told = {"request_id": answer.json()["request_id"], "label": self.label}
                        client.post("/v1/feedback", json=told).raise_for_status()
                except httpx.HTTPError as error:
                    self.failures.append(f"{error!r} {getattr(getattr(error, 'response', None), 'text', '')}")

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)


@pytest.fixture
def roll_out(project, ledger, store, target, wait_until):
    """Roll a release out until its verdict is known."""

    def run(release, strategy):
        decision = StrategyDecision(strategy=strategy, recommended=strategy, reasons=("a test",))
        policy = POLICY.model_copy(update={"shadow": 0.5})
        configured = project.model_copy(update={"deployment": policy})
        rollout = start(release, decision, configured, ledger, store, f"run-{release.digest}", target)
        reader = open_evidence(rollout, ledger, store)
        report = wait_until(lambda: watch_rollout(rollout, ledger, store, reader), f"a verdict on {strategy}")
        assert report.verdict == "promote", report
        return rollout

    return run


def list_containers(engine, settings, part="replica"):
    labels = [f"windhover.home={(settings.home / 'docker').resolve()}", f"windhover.part={part}"]
    return engine.containers.list(all=True, filters={"label": labels})


def count_by_release(engine, settings):
    found = [container.labels["windhover.release"] for container in list_containers(engine, settings)]
    return {digest: found.count(digest) for digest in found}


def ask(settings, path="/v1/release"):
    answer = httpx.get(f"{settings.serving_uri}{path}", headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False)
    return answer.raise_for_status().json()


def test_every_strategy_under_traffic_and_back(engine, settings, publish, roll_out, ledger, target, png, project):
    first = publish(1)
    complete_rollout(roll_out(first, "direct"), ledger, target)
    assert count_by_release(engine, settings) == {first.digest: 2}
    traffic = Traffic(settings.serving_uri, png)
    before = first
    for version, strategy in enumerate(("direct", "blue_green", "canary", "shadow", "ab_test"), start=2):
        release = publish(version)
        traffic.label = project.classes[version] if strategy == "ab_test" else None
        rollout = roll_out(release, strategy)
        assert count_by_release(engine, settings) == {before.digest: 2, release.digest: 2}
        complete_rollout(rollout, ledger, target)
        assert count_by_release(engine, settings) == {release.digest: 2}
        assert find_plan(ledger, "digits").champion == release
        before = release
    traffic.label = None
    rollout = roll_out(publish(7), "blue_green")
    roll_back(rollout, ["a person says so"], ledger, who="somebody", forced=True, target=target)
    assert count_by_release(engine, settings) == {before.digest: 2}
    seen = len(traffic.answers)
    time.sleep(1)
    traffic.end()
    assert traffic.failures == []
    assert {answer["release"] for answer in traffic.answers[seen + 10 :]} == {before.digest}
    assert {answer["model_version"] for answer in traffic.answers} == {1, 2, 3, 4, 5, 6, 7}
    print(f"\n{len(traffic.answers)} requests, 0 failed")  # noqa: T201


def test_a_release_is_small_ready_soon_and_has_no_rights(engine, settings, publish, target, ledger, wait_until):
    release = publish(1)
    target.prepare(release)
    image = engine.images.get(f"windhover/release:{release.digest.removeprefix('sha256:')}")
    size = image.attrs["Size"] / 1e6
    assert size <= 450
    labels = {name.removeprefix("windhover."): value for name, value in image.labels.items()}
    assert (labels["release"], labels["version"]) == (release.digest, "1")
    assert (labels["model"], labels["weights"]) == (release.model.model.key, release.model.model.weights)
    assert {"graph", "code", "lock"} <= set(labels)
    for container in [*list_containers(engine, settings), *list_containers(engine, settings, "front")]:
        host = container.attrs["HostConfig"]
        assert (host["ReadonlyRootfs"], host["CapDrop"], host["Init"]) == (True, ["ALL"], True)
        assert host["SecurityOpt"] == ["no-new-privileges:true"]
        assert 0 < host["Memory"] <= 1024 * MEBIBYTE
        assert (host["NanoCpus"], host["PidsLimit"]) == (1_000_000_000, 256)
        status = container.exec_run(["cat", "/proc/1/status"]).output.decode()
        assert f"Uid:\t{container.attrs['Config']['User'].split(':')[0]}\t" in status
        assert "Uid:\t0\t" not in status
        assert "CapEff:\t0000000000000000" in status
        shown = str(container.attrs)
        assert TOKEN not in shown
    replica = list_containers(engine, settings)[0]
    assert replica.attrs["HostConfig"]["NetworkMode"] == "none"
    assert replica.exec_run(["sh", "-c", "ls -R /opt/windhover/releases"]).output.count(b"model.onnx") == 1
    # Without anything in service a process cannot be ready; from the second start on, it is.
    follow_first(release, ledger, settings, wait_until)
    began = time.monotonic()
    replica.restart(timeout=5)
    started = time.monotonic()
    probe = ["python", "-m", "include.serving.probe", f"/run/sockets/{replica.name}.sock"]
    wait_until(lambda: replica.exec_run(probe).exit_code == 0, "the replica")
    seconds = time.monotonic() - started
    print(f"\nimage {size:.0f} MB; stop and start {started - began:.1f} s; then ready after {seconds:.1f} s")  # noqa: T201
    assert seconds <= 3


def follow_first(release, ledger, settings, wait_until):
    serve(ledger, release)
    wait_until(lambda: sum("digits" in one.revisions for one in list_replicas(ledger)) == 2, "both replicas")
    assert ask(settings, "/readyz") == {"status": "ready", "projects": ["digits"]}


def test_an_attempt_that_is_killed_anywhere_is_taken_up(engine, settings, publish, target, ledger, wait_until):
    release, other = publish(1), publish(2)
    moments = (
        lambda: list_containers(engine, settings),
        lambda: len(list_containers(engine, settings)) == 2,
        lambda: find_pointed(DockerHome(settings, settings.ledger_uri)),
    )
    for moment in moments:
        attempt = subprocess.Popen(
            [sys.executable, "-c", PREPARE, settings.model_dump_json(), other.model_dump_json()], cwd=REPOSITORY
        )
        wait_until(moment, "the moment to kill the attempt at")
        attempt.send_signal(signal.SIGKILL)
        attempt.wait()
    with ThreadPoolExecutor() as pool:
        list(pool.map(target.prepare, [release, release]))
    assert count_by_release(engine, settings)[release.digest] == 2
    assert len(list_containers(engine, settings, "front")) == 1
    target.finish(release)
    target.finish(release)
    assert count_by_release(engine, settings) == {release.digest: 2}
    target.abandon(release)
    assert count_by_release(engine, settings) == {release.digest: 2}
    target.prepare(other)
    target.abandon(other)
    target.abandon(other)
    assert count_by_release(engine, settings) == {release.digest: 2}
    names = {replica.name for replica in list_replicas(ledger)}
    assert {container.name for container in list_containers(engine, settings)} <= names


def test_a_half_started_set_of_a_dead_attempt_is_swept_away(engine, settings, publish, target):
    first, second, third = publish(1), publish(2), publish(3)
    target.prepare(second)
    target.prepare(first)
    half = next(one for one in list_containers(engine, settings) if one.labels["windhover.release"] == second.digest)
    half.remove(force=True)
    target.prepare(third)
    assert count_by_release(engine, settings) == {first.digest: 2, third.digest: 2}


def test_a_container_that_dies_at_its_start_says_why_and_leaves_nothing(engine, settings, publish, tmp_path):
    broken = settings.model_copy(update={"ledger_uri": f"postgresql://nobody@/nothing?host={tmp_path}"})
    shutil.rmtree(settings.home / "docker", ignore_errors=True)
    (settings.home / "docker" / "serving").mkdir(parents=True)
    (settings.home / "docker" / "serving" / "segments").write_text("a file where a folder belongs")
    with pytest.raises(RolloutFailedError, match=r"(?s)is (exited|restarting).*FileExistsError"):
        DockerTarget(broken, broken.ledger_uri).prepare(publish(1))
    assert list_containers(engine, settings) == []


def test_a_taken_port_is_named(engine, settings, publish, target):
    port = int(settings.serving_uri.rpartition(":")[2])
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(RolloutFailedError, match=f"does not start at http://127.0.0.1:{port}.*WINDHOVER_SERVING_URI"),
    ):
        target.prepare(publish(1))
    assert list_containers(engine, settings, "front") == []


@pytest.mark.usefixtures("engine")
def test_what_the_engine_refuses_is_told_in_its_words():
    refused = pytest.raises(RolloutFailedError, match="the container engine refuses: No such container: nobody")
    with refused, open_engine() as engine:
        engine.containers.get("nobody")
