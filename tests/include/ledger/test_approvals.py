from datetime import UTC, datetime

from include.ledger.approvals import list_quarantine_releases
from include.ledger.quality import record_release
from include.storage import digest_bytes

CONTENT = digest_bytes(b"content")


def test_releases_are_listed_newest_first_with_who_and_why(ledger):
    record_release(ledger, "digits", "2026-03-01", CONTENT, "ana", "seen by eye")
    record_release(ledger, "digits", "2026-03-02", CONTENT, "ben", "known lamp")
    newest, oldest = list_quarantine_releases(ledger, "digits")
    assert (newest.partition, newest.content, newest.released_by, newest.reason) == (
        "2026-03-02",
        CONTENT,
        "ben",
        "known lamp",
    )
    assert oldest.partition == "2026-03-01"
    assert abs((datetime.now(UTC) - newest.released_at).total_seconds()) < 60


def test_another_project_has_none(ledger):
    record_release(ledger, "digits", "2026-03-01", CONTENT, "ana", "seen by eye")
    assert list_quarantine_releases(ledger, "plankton") == []
