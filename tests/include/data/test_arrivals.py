import subprocess
import sys

import pytest

from include.data.arrivals import find_complete_batch, plan_shards
from include.errors import ContractViolationError, DataQualityError, PermanentError
from include.settings import REPOSITORY


def test_waits_until_the_marker_is_there(project, landing, make_day):
    assert find_complete_batch(project, landing, "2026-11-02") is None
    day = make_day(images=3)
    assert find_complete_batch(project, landing, "2026-11-02") is None
    day.close()
    batch = find_complete_batch(project, landing, "2026-11-02")
    assert batch is not None
    assert (batch.folder, batch.images) == ("digits/2026-11-02", 3)


def test_a_missing_landing_folder_is_an_error_that_says_what_to_do(project, tmp_path):
    with pytest.raises(PermanentError, match=r"nowhere.*mkdir -p.*WINDHOVER_LANDING"):
        find_complete_batch(project, tmp_path / "nowhere", "2026-11-02")


@pytest.mark.parametrize("partition", ["../secrets", "2026-13-01", "20261102", "2026-11-02/..", ""])
def test_a_partition_that_is_no_day_is_refused(project, landing, partition):
    with pytest.raises(ContractViolationError, match="is no day"):
        find_complete_batch(project, landing, partition)


def test_links_are_not_followed(project, landing, make_day, tmp_path):
    folder = make_day(images=2).close().folder
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataQualityError, match="symbolic link"):
        find_complete_batch(project, landing, "2026-11-02")


def test_an_empty_delivery_is_an_error(project, landing, make_day):
    make_day(images=0).close()
    batch = find_complete_batch(project, landing, "2026-11-02")
    with pytest.raises(DataQualityError, match=r"2026-11-02 is marked complete but has no image"):
        plan_shards(project, batch)


@pytest.mark.parametrize(("images", "shards"), [(1, 1), (2, 2), (3, 2)])
def test_plans_no_shard_without_an_image(project, landing, make_day, images, shards):
    make_day(images=images).close()
    planned = plan_shards(project, find_complete_batch(project, landing, "2026-11-02"))
    assert [(shard.index, shard.count) for shard in planned] == [(index, shards) for index in range(shards)]


def test_imports_nothing_heavy():
    probe = "import sys, include.data.arrivals; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", probe], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert {"numpy", "PIL", "pyarrow", "pandas", "lance", "great_expectations"}.isdisjoint(loaded.stdout.split())
