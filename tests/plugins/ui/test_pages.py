from pathlib import Path

import pytest
import sqlalchemy as sa

from include.storage import digest_bytes

REPORT = "digits/reports/drift/1/index.html"
PAGE = f"/windhover/reports/{REPORT}"


@pytest.fixture
def report(machine_store):
    machine_store.write(REPORT, b"<h1>Drift</h1>")


DATASHEET = "digits/reports/datasheets/1-0123456789ab/index.html"
NOTES = "digits/reports/release_notes/0123456789ab/index.html"
OURS = [
    "/windhover/overview",
    "/windhover/overview/digits",
    "/windhover/overview/digits/live",
    "/windhover/static/overview.js",
    "/windhover/docs/runbook.md",
    "/windhover/catalogue",
    "/windhover/datasets/digits",
    "/windhover/datasets/digits/diff?before=1&after=2",
    "/windhover/lineage/digits",
    f"/windhover/lineage/digits?image={digest_bytes(b'image')}",
    "/windhover/lineage/digits?source=a.png",
    "/windhover/quarantine/digits/2026-11-20",
    "/windhover/models",
    "/windhover/models/digits",
    "/windhover/models/digits/1",
    "/windhover/rollouts",
    "/windhover/rollouts/digits",
    "/windhover/audit",
    "/windhover/audit/digits?at=2026-11-21T10:00&before=3",
]
SCRIPTLESS = [
    "catalogue",
    "datasets/digits",
    "lineage/digits",
    "models",
    "models/digits",
    "rollouts",
    "rollouts/digits",
    "audit",
    "audit/digits",
]


@pytest.mark.parametrize("page", [PAGE, *OURS, "/windhover/reports/digits/secret", "/windhover/datasets/DIGITS"])
def test_anonymous_sees_nothing_not_even_what_exists(anonymous, report, page):
    assert anonymous.get(page).status_code == 401


def test_a_forged_session_sees_nothing(anonymous, report):
    anonymous.cookies.set("_token", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhZG1pbiJ9.")
    assert anonymous.get(PAGE).status_code == 403


def test_a_viewer_sees_a_report_that_cannot_reach_the_session(browser, report):
    answer = browser.get(PAGE)
    assert (answer.status_code, answer.text) == (200, "<h1>Drift</h1>")
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox")
    assert "allow-same-origin" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("file", "kind"), [("a.css", "text/css"), ("a.png", "image/png"), ("a", "application/octet-stream")]
)
def test_the_files_of_a_report_keep_their_kind_and_their_sandbox(browser, machine_store, file, kind):
    machine_store.write(f"digits/reports/drift/1/{file}", b"x")
    answer = browser.get(f"/windhover/reports/digits/reports/drift/1/{file}")
    assert answer.headers["content-type"].startswith(kind)
    assert answer.headers["content-security-policy"].startswith("sandbox")


@pytest.mark.parametrize(
    "address",
    [
        "digits/images.lance/data/1.lance",
        "digits/releases/1/release.json",
        "secrets.json",
        "reports/secrets.json",
        "digits/reports/%2e%2e/releases/1/release.json",
        "digits/reports/drift/%2e%2e/%2e%2e/releases/1/release.json",
        "digits/reports/%2e%2e/%2e%2e/%2e%2e/password.json",
        "digits/reports//etc/passwd",
        "/etc/passwd",
        "%2e%2e/reports/%2e%2e/password.json",
    ],
)
def test_nothing_but_reports_leaves_the_store(browser, machine_store, report, address):
    machine_store.write("digits/releases/1/release.json", b"secret")
    machine_store.write("digits/images.lance/data/1.lance", b"secret")
    machine_store.write("secrets.json", b"secret")
    (Path(machine_store.root).parent / "password.json").write_text("secret")
    answer = browser.get(f"/windhover/reports/{address}")
    assert answer.status_code == 404
    assert answer.json()["detail"].startswith(("no report at", repr(address.replace("%2e", "."))[:4]))


def test_a_link_out_of_the_store_is_not_followed(browser, machine_store, report):
    (Path(machine_store.root).parent / "password").write_text("secret")
    (Path(machine_store.root) / "digits/reports/drift/1/link").symlink_to(Path(machine_store.root).parent / "password")
    assert browser.get("/windhover/reports/digits/reports/drift/1/link").status_code == 404


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("digits/reports/drift/2/index.html", id="pruned"),
        pytest.param("digits/reports/drift/1", id="folder"),
        pytest.param(f"{REPORT}/more", id="below-a-file"),
        pytest.param("digits/reports/drift/1/%00", id="nul"),
        pytest.param("digits/reports/drift/" + "a" * 300, id="too-long"),
    ],
)
def test_a_page_that_is_not_there_is_said_in_a_sentence(browser, report, address):
    answer = browser.get(f"/windhover/reports/{address}")
    assert answer.status_code == 404
    assert "was it pruned?" in answer.json()["detail"]


@pytest.mark.parametrize("report", [DATASHEET, NOTES])
def test_what_we_wrote_ourselves_may_follow_its_links_and_run_nothing(browser, machine_store, report):
    machine_store.write(report, b"<h1>Written by us</h1>")
    policy = browser.get(f"/windhover/reports/{report}").headers["content-security-policy"]
    assert policy.startswith("sandbox allow-same-origin")
    assert "default-src 'none'" in policy
    assert "script" not in policy


@pytest.mark.parametrize("page", SCRIPTLESS)
def test_our_own_pages_run_nothing_and_load_nothing(browser, ledger_connection, page):
    answer = browser.get(f"/windhover/{page}")
    assert answer.status_code == 200
    assert "script" not in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "<script" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("page", "says"),
    [
        ("datasets/plankton", "no project file"),
        ("datasets/digits/diff?before=1&after=2", "digits has no dataset version 1"),
        (f"lineage/digits?image={digest_bytes(b'image')}", "ever held"),
        ("lineage/digits?source=%3Cscript%3E", "&lt;script&gt;"),
        ("quarantine/digits/2026-11-20", "nothing at"),
        ("models/digits/3", "digits has no model version 3"),
        ("models/plankton", "no project file"),
        ("rollouts/plankton", "no project file"),
        ("audit/plankton", "no project file"),
    ],
)
def test_what_is_not_there_is_said_on_a_page(browser, ledger_connection, page, says):
    answer = browser.get(f"/windhover/{page}")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")
    assert says in answer.text
    assert "<script" not in answer.text


@pytest.mark.parametrize(
    "page",
    [
        "datasets/%2e%2e",
        "datasets/DIGITS",
        "datasets/digits/diff",
        "datasets/digits/diff?before=one&after=2",
        "lineage/digits?image=sha256:1",
        "lineage/digits?image=' OR 1=1",
        "quarantine/%2e%2e/2026-11-20",
        "quarantine/digits/2026-11-20.parquet",
        "quarantine/DIGITS/2026-11-20",
        "quarantine/digits/%00",
        "models/DIGITS",
        "models/digits/0",
        "models/digits/9223372036854775808",
        "models/digits/latest",
        "models/digits?before=0",
        "models/digits?before=9223372036854775808",
        "rollouts/DIGITS",
        "rollouts/%2e%2e",
        "audit/%2e%2e",
        "audit/digits?before=-1",
        "audit/digits?at=yesterday",
        "audit/digits?at=",
        "audit/digits?at=0001-01-01T00:00%2B14:00",
    ],
)
def test_nothing_but_projects_days_versions_and_digests_is_looked_up(browser, page):
    assert browser.get(f"/windhover/{page}").status_code in {404, 422}


@pytest.mark.parametrize(
    "page",
    [
        "catalogue",
        "datasets/digits",
        "quarantine/digits/2026-11-20",
        "models",
        "models/digits/1",
        "rollouts",
        "rollouts/digits",
        "audit",
        "audit/digits",
    ],
)
def test_a_ledger_that_does_not_answer_is_said_without_its_password(browser, machine_store, page):
    answer = browser.get(f"/windhover/{page}")
    assert answer.status_code == (404 if page.startswith("quarantine") else 503)
    assert "secret" not in answer.text


def test_a_machine_without_the_connection_says_so(browser, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_WINDHOVER_LEDGER")
    answer = browser.get("/windhover/catalogue")
    assert answer.status_code == 503
    assert "windhover_ledger" in answer.text


def test_the_ledger_is_only_read(browser, ledger_connection):
    def counts():
        with ledger_connection.begin() as connection:
            statistics = "SELECT relname, n_tup_ins + n_tup_upd + n_tup_del FROM pg_stat_user_tables"
            return dict(connection.execute(sa.text(statistics)).all())

    before = counts()
    for page in OURS:
        browser.get(page)
    assert counts() == before
