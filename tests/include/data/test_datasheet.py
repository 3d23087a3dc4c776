import re

import pytest
import sqlalchemy as sa

from include.contracts import ExpectationReport, ValidationReport
from include.data.catalogue import locate_datasheet
from include.data.datasheet import describe_dataset
from include.errors import ArtifactNotFoundError
from include.ledger.quality import record_release
from include.ledger.tables import partitions
from include.storage import digest_bytes
from tests.include.data.stored_versions import DAY, make_row, write_version

ATTACK = "<script>alert('x')</script>.png"


@pytest.fixture
def rows(digit_images):
    splits = ("train", "validation", "test")
    return [make_row(pixels, label, split=splits[index % 3]) for index, (pixels, label) in enumerate(digit_images[:90])]


def make_report(**values):
    broken = ExpectationReport(
        expectation="expect_column_values_to_be_between",
        column="brightness",
        on_failure="warn",
        success=False,
        unexpected=2,
        rows=("shot-0007.png", ATTACK),
    )
    known = {
        "project": "digits",
        "partition": DAY,
        "address": "digits/staging/1",
        "digest": digest_bytes(b"content"),
        "seen": 100,
        "accepted": 90,
        "duplicates": 3,
        "quarantined": 7,
        "reasons": {"truncated": 5, "unknown_class": 2},
        "expectations": (broken, ExpectationReport(expectation="expect_no_leak", success=True)),
        "success": True,
        "data_docs": "digits/reports/data_docs/1/index.html",
    }
    return ValidationReport.model_validate(known | values)


def record(ledger, report, version=1):
    row = {"project": report.project, "partition": report.partition, "version": version}
    with ledger.begin() as connection:
        connection.execute(sa.insert(partitions).values(row | {"validation": report.model_dump(mode="json")}))


@pytest.fixture
def describe(project, store, ledger):
    def make(rows):
        address = describe_dataset(project, write_version(store, rows), store, ledger)
        return store.read(address).decode()

    return make


def test_the_datasheet_and_a_look_at_the_data_lie_side_by_side(project, any_store, ledger, rows):
    dataset = write_version(any_store, rows)
    address = describe_dataset(project, dataset, any_store, ledger)
    digest = dataset.digest.removeprefix("sha256:")[:12]
    assert address == locate_datasheet(dataset) == f"digits/reports/datasheets/1-{digest}/index.html"
    assert 'href="eda.html"' in any_store.read(address).decode()
    assert 'href="index.html"' in any_store.read(address.replace("index", "eda")).decode()


def test_describing_again_changes_nothing_whatever_the_ledger_says_since(project, store, ledger, rows):
    dataset = write_version(store, rows)
    address = describe_dataset(project, dataset, store, ledger)
    before = store.read(address)
    record(ledger, make_report())
    assert describe_dataset(project, dataset, store, ledger) == address
    assert store.read(address) == before


def test_the_same_version_and_ledger_give_the_same_bytes(project, store, ledger, rows):
    record(ledger, make_report())
    dataset = write_version(store, rows)
    address = describe_dataset(project, dataset, store, ledger)
    first = store.read(address)
    store.remove(address.rpartition("/")[0])
    describe_dataset(project, dataset, store, ledger)
    assert store.read(address) == first


def test_counts_add_up_and_quarantine_has_its_reasons(describe, ledger, rows):
    record(ledger, make_report())
    page = describe(rows)
    assert "100 files seen = 90 accepted + 3 duplicates + 7 quarantined" in page
    assert all(
        chip in page for chip in ("5 \N{MULTIPLICATION SIGN} truncated", "2 \N{MULTIPLICATION SIGN} unknown_class")
    )
    assert f'<td class="name">{DAY}</td><td class="right">90</td><td class="right">90</td>' in page


def test_known_issues_name_the_rows_and_why_they_were_let_pass(describe, ledger, rows):
    record(ledger, report := make_report())
    record_release(ledger, "digits", DAY, report.address, "approver", "the lamp was new")
    page = describe(rows)
    issues = page[page.index("<h2>Known issues") : page.index("<h2>Limits")]
    assert "shot-0007.png" in issues
    assert "released: the lamp was new" in issues
    assert "expect_no_leak" not in issues


def test_partitions_of_later_versions_are_not_described(describe, ledger, rows):
    record(ledger, make_report(partition="2026-11-30", seen=700, accepted=690))
    page = describe(rows)
    assert "2026-11-30" not in page
    assert "no validation is on record" in page


def test_names_are_escaped_and_the_page_needs_nobody(describe, ledger, rows):
    record(ledger, make_report())
    page = describe([row | {"source": ATTACK, "group": ATTACK} for row in rows])
    assert not re.findall(r"<script|<link|@import|url\(|src=|https?:", page)


def test_limits_follow_from_the_counts(describe, rows):
    unbalanced = [row for row in rows if row["label"] != "9" and not (row["label"] == "4" and row["split"] == "test")]
    unbalanced[0] |= {"label": None}
    page = describe(unbalanced)
    assert "No image of 9: a model trained on it cannot know them." in page
    assert "No test image of 4: the test split cannot speak for them." in page
    assert "Fewer than 30 images of" in page
    assert "have no label" in page
    assert "One partition only" in page


def test_an_empty_version_is_described(describe):
    page = describe([])
    assert "No label is known yet." in page
    assert "No image of 0, 1, 2, 3, 4 and 5 more classes" in page


def test_what_the_project_does_to_images_is_said(project, store, ledger, rows):
    data = project.data.model_copy(update={"blur": ("faces",), "keep_originals": True, "near_duplicate_bits": 0})
    address = describe_dataset(project.model_copy(update={"data": data}), write_version(store, rows), store, ledger)
    page = store.read(address).decode()
    for sentence in ("Blurred: faces.", "The delivered bytes are kept as well", "Near-duplicates are not looked for."):
        assert sentence in page


def test_a_version_that_is_gone_or_was_rebuilt_is_an_error(project, store, ledger, rows):
    dataset = write_version(store, rows)
    for other in ({"version": 9}, {"digest": digest_bytes(b"other")}):
        with pytest.raises(ArtifactNotFoundError):
            describe_dataset(project, dataset.model_copy(update=other), store, ledger)
    assert store.list("digits/reports/datasheets") == []
