import pytest

REPORT = "digits/reports/drift/1/index.html"
PAGE = f"/windhover/reports/{REPORT}"


@pytest.fixture
def report(machine_store):
    machine_store.write(REPORT, b"<h1>Drift</h1>")


@pytest.mark.parametrize("page", [PAGE, "/windhover/quarantine/digits/2026-11-20", "/windhover/reports/digits/secret"])
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
    (machine_store.root.parent / "password.json").write_text("secret")
    answer = browser.get(f"/windhover/reports/{address}")
    assert answer.status_code == 404
    assert answer.json()["detail"].startswith(("no report at", repr(address.replace("%2e", "."))[:4]))


def test_a_link_out_of_the_store_is_not_followed(browser, machine_store, report):
    (machine_store.root.parent / "password").write_text("secret")
    (machine_store.root / "digits/reports/drift/1/link").symlink_to(machine_store.root.parent / "password")
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


def test_a_day_that_was_never_ingested_is_said_in_a_sentence(browser):
    answer = browser.get("/windhover/quarantine/digits/2026-11-20")
    assert answer.status_code == 404
    assert "was the day ingested?" in answer.json()["detail"]


@pytest.mark.parametrize("page", ["%2e%2e/2026-11-20", "digits/2026-11-20.parquet", "DIGITS/2026-11-20", "digits/%00"])
def test_a_quarantine_is_named_by_a_project_and_a_day(browser, page):
    assert browser.get(f"/windhover/quarantine/{page}").status_code in {404, 422}
