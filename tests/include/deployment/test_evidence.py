import io
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.contracts import DatasetRef, ModelRef, ModelVersionRef, ReleasePlan, ReleaseRef, RolloutRef
from include.deployment.evidence import EvidenceReader, trace_shares
from include.errors import ServiceUnavailableError
from include.ledger.plans import PlanRevision
from include.predictions import append_rows
from include.storage import Store, digest_bytes

NOW = datetime.now(UTC)
SHARES = {4: 0.05, 5: 0.25}


def make_release(version):
    digest = digest_bytes(f"release {version}".encode())
    dataset = DatasetRef(project="p", address="p/images.lance", version=1, digest=digest, images=9, labelled=9)
    model = ModelRef(project="p", key=digest, run_id="run", weights=digest, dataset=dataset)
    certified = ModelVersionRef(model=model, version=version, accuracy=0.9)
    return ReleaseRef(model=certified, address=f"p/releases/{version}", digest=digest, parity=0)


RELEASE, CHAMPION = make_release(2), make_release(1)
ROLLOUT = RolloutRef(id=3, release=RELEASE, previous=CHAMPION.digest, strategy="canary")


def make_rows(number, *, variant="candidate", revision=4, time=NOW, prefix="r"):
    row = {"time": time, "project": "p", "revision": revision, "variant": variant, "predicted": "3", "key": "k"}
    return [{**row, "request_id": f"{prefix}{n}"} for n in range(number)]


def open_reader(store, rollout=ROLLOUT, since=NOW):
    return EvidenceReader(store, "p", rollout, since)


def test_each_look_reads_what_is_new(any_store):
    reader = open_reader(any_store)
    assert reader.read(SHARES).requests == {}
    append_rows(any_store, "predictions", "one", make_rows(3))
    assert reader.read(SHARES).requests == {0.05: 3}
    append_rows(any_store, "predictions", "two", make_rows(2, revision=5, prefix="s"))
    append_rows(any_store, "feedback", "one", [{"time": NOW, "project": "p", "request_id": "s1", "label": "4"}])
    counts = reader.read(SHARES)
    assert counts.requests == {0.05: 3, 0.25: 2}
    assert [split.release for split in counts.wrong] == [1]
    assert open_reader(any_store).read(SHARES).requests == counts.requests


def test_a_file_is_read_once_and_counted_again_only_when_something_is_new(store):
    reader = open_reader(store)
    append_rows(store, "predictions", "one", make_rows(3))
    counts = reader.read(SHARES)
    store.remove("p/predictions")
    assert reader.read(SHARES) is counts
    assert reader.read({4: 0.5}).requests == {0.5: 3}


def test_files_named_for_a_time_long_before_are_not_even_read(store):
    for minutes, rows in [(90, 2), (50, 3), (0, 4)]:
        name = f"{NOW - timedelta(minutes=minutes):%Y%m%dT%H%M%S}-abc"
        append_rows(store, "predictions", name, make_rows(rows, prefix=name))
    assert open_reader(store).read(SHARES).requests == {0.05: 7}


def test_a_broken_file_hides_nothing_but_itself(store, caplog):
    day = f"p/predictions/{NOW:%Y-%m-%d}"
    append_rows(store, "predictions", "one", make_rows(3))
    store.write(f"{day}/broken.parquet", store.read(f"{day}/one.parquet")[:-40])
    store.write(f"{day}/empty.parquet", b"")
    reader = open_reader(store)
    assert reader.read(SHARES).requests == reader.read(SHARES).requests == {0.05: 3}
    assert caplog.text.count("cannot be read") == 2


def test_files_from_before_there_were_rollouts_count_nothing(store):
    old = pa.table({"request_id": ["r9"], "time": pa.array([NOW], pa.timestamp("us", tz="UTC")), "predicted": ["3"]})
    pq.write_table(old, buffer := io.BytesIO())
    store.write(f"p/predictions/{NOW:%Y-%m-%d}/old.parquet", buffer.getvalue())
    append_rows(store, "predictions", "one", make_rows(3))
    assert open_reader(store).read(SHARES).requests == {0.05: 3}


def test_a_store_that_does_not_answer_loses_nothing(store, monkeypatch):
    append_rows(store, "predictions", "one", make_rows(3))
    append_rows(store, "predictions", "two", make_rows(3, prefix="s"))
    reader, read = open_reader(store), Store.read

    def fail_once(self, address):
        if address.endswith("two.parquet"):
            raise ServiceUnavailableError("away")
        return read(self, address)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "read", fail_once)
        with pytest.raises(ServiceUnavailableError):
            reader.read(SHARES)
    assert reader.read(SHARES).requests == {0.05: 6}


def test_only_the_days_of_the_rollout_are_read_and_a_clock_may_be_a_little_late(store):
    midnight = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
    append_rows(store, "predictions", "before", make_rows(3, time=midnight - timedelta(days=2)))
    append_rows(store, "predictions", "late", make_rows(4, time=midnight - timedelta(minutes=2), prefix="s"))
    append_rows(store, "predictions", "now", make_rows(5, prefix="t"))
    assert open_reader(store, since=midnight + timedelta(minutes=1)).read(SHARES).requests == {0.05: 9}


def test_keys_count_once_in_an_ab_test_only(store):
    append_rows(store, "predictions", "one", make_rows(3))
    assert open_reader(store).read(SHARES).assigned[0].release == 3
    tested = ROLLOUT.model_copy(update={"strategy": "ab_test"})
    assert open_reader(store, tested).read(SHARES).assigned[0].release == 1


def test_shares_are_those_of_the_rollout_since_it_began():
    def revise(revision, minutes=0, **fields):
        plan = ReleasePlan(**{"project": "p", "revision": revision, "champion": CHAMPION, "rollout": 3, **fields})
        return PlanRevision(revision, plan, "why", NOW + timedelta(minutes=minutes))

    plans = [
        revise(1, -9, candidate=RELEASE, weight=0.05), revise(2, rollout=2), PlanRevision(3, None, "why", NOW),
        revise(4, candidate=RELEASE), revise(5, candidate=RELEASE, weight=0.25), revise(6, champion=RELEASE),
    ]  # fmt: skip
    assert trace_shares(plans, ROLLOUT, NOW) == {4: 0.0, 5: 0.25, 6: 1.0}
