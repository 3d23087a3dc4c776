import pytest
import sqlalchemy as sa

from include.contracts.retirement import RetirementReport
from include.errors import ArtifactNotFoundError, ProjectFileError
from include.ledger.holds import hold_version
from include.ledger.tables import retirements
from include.storage import digest_bytes
from include.vision.certificates import certificate_address
from tests.include.certified import AT, certify, crown
from windhover.ui.models import NEWEST, render_models, render_project_models, render_version


@pytest.fixture
def show(machine, project, store, ledger):
    return lambda **how: render_project_models(project, store, ledger, **how)


def test_versions_show_what_serves_what_holds_and_who_approved(show, store, ledger):
    certify(1, store, ledger)
    certify(2, store, ledger)
    crown(2, ledger)
    store.write("digits/reports/model_card/2/index.html", b"")
    page = show()
    assert page.count(">verified</span>") == 2
    assert page.index("<b>2</b>") < page.index('<span class="chip">champion</span>') < page.index("<b>1</b>")
    for said in (
        "95.0 %",
        "of 100",
        "accuracy 0.9500 is enough",
        "bea",
        'href="http://mlflow:5500/#/models/digits/versi',
    ):
        assert said in page
    assert page.count(">model card</a>") == 1
    assert page.count('href="/windhover/reports/digits/reports/evaluation/run1/index.html">evaluation</a>') == 2


def test_a_certificate_that_was_changed_is_not_verified_and_nothing_in_it_is_believed(show, store, ledger):
    certify(1, store, ledger)
    address = certificate_address("digits", 1)
    store.write(address, store.read(address).replace(b"bea", b"eve"))
    page = show()
    assert ">not verified</span>" in page
    assert "is not the one in the ledger" in page
    assert "bea" not in page
    assert "eve" not in page


def test_a_version_older_than_certificates_says_so(show, store, ledger):
    certify(1, store, ledger, signed=False)
    assert "older than certificates" in show()


def test_what_people_wrote_is_escaped(show, store, ledger):
    certify(1, store, ledger)
    page = show()
    assert "looks &lt;b&gt;right&lt;/b&gt;" in page


def test_many_versions_are_shown_a_page_at_a_time(machine, project, store, ledger, monkeypatch):
    for number in range(1, NEWEST + 3):
        certify(number, store, ledger)
    page = render_models([project], [], store, ledger)
    assert page.count(">verified</span>") == NEWEST
    assert 'href="/windhover/models/digits?before=3">older versions' in page
    rest = render_project_models(project, store, ledger, before=3)
    assert rest.count(">verified</span>") == 2
    assert "older versions" not in rest


def test_a_project_without_versions_and_a_broken_project_file_have_their_lines(machine, project, store, ledger):
    page = render_models([project], [ProjectFileError("x.yaml: clases: unknown key")], store, ledger)
    assert "Nothing is certified yet." in page
    assert "x.yaml: clases" in page
    assert "make new-project" in render_models([], [], store, ledger)


def test_one_version_shows_what_it_was_certified_with(machine, project, store, ledger):
    certificate = certify(1, store, ledger)
    page = render_version(project, 1, store, ledger)
    assert page.count(">verified</span>") == 2
    for said in ("bea", "accuracy 0.9500 is enough", certificate.graph, "There was none to compare it with."):
        assert said in page


@pytest.mark.parametrize(("graph", "says"), [(b"another", "has digest"), (None, "is not in the store")])
def test_a_graph_that_is_not_the_certified_one_is_said(machine, project, store, ledger, graph, says):
    model = certify(1, store, ledger).model
    store.remove("digits/graphs")
    if graph:
        store.write(f"digits/graphs/{model.weights.removeprefix('sha256:')}.onnx", graph)
    page = render_version(project, 1, store, ledger)
    assert page.count(">verified</span>") == page.count(">not verified</span>") == 1
    assert says in page


@pytest.mark.parametrize("version", [1, 3, 2**63 - 1])
def test_a_version_that_was_never_registered_is_an_error(machine, project, store, ledger, version):
    certify(2, store, ledger)
    with pytest.raises(ArtifactNotFoundError, match=f"no model version {version}"):
        render_version(project, version, store, ledger)


def test_a_hold_and_a_tombstone_are_shown_with_who_and_why(machine, project, store, ledger):
    for number in (1, 2):
        certify(number, store, ledger)
    hold_version(ledger, "digits", 2, who="bea", why="case 17")
    gone = RetirementReport(
        version=1, model_key=digest_bytes(b"1"), retired_by="ada", reason="out of use", retired_at=AT,
        bundle=digest_bytes(b"bundle"), address="digits/archive/1", removed_at=None,
    )  # fmt: skip
    kept = {"project": "digits", "version": 1, "model_key": gone.model_key, "removed_at": AT}
    with ledger.begin() as connection:
        connection.execute(sa.insert(retirements).values(kept | {"retirement": gone.model_dump(mode="json")}))
    store.remove("digits/certificates/1.json")
    page = render_project_models(project, store, ledger)
    assert [page.count(f">{name}</span>") for name in ("held", "retired", "verified")] == [1, 1, 2]
    assert "bea forbids since" in render_version(project, 2, store, ledger)
    assert "ada retired it on 2026-11-21 10:00 UTC: out of use" in render_version(project, 1, store, ledger)
    assert "digits/archive/1" in render_version(project, 1, store, ledger)
