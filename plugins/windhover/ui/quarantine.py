"""The page that shows what was put aside, why, and what to do about it."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from windhover.ui.templates import render

if TYPE_CHECKING:
    from include.contracts import QuarantineReason, ValidationReport
    from include.ledger import Ledger
    from include.project import Project
    from include.storage import Store

SHOWN = 500
REMEDIES: dict["QuarantineReason", str] = {
    "empty": "The file holds nothing. Deliver it again.",
    "too_large_bytes": "Larger than data.max_bytes. Deliver it smaller, or raise the limit.",
    "not_an_image": "Its bytes are no image, whatever its name says. Deliver the right file, or leave it out.",
    "format_not_allowed": "An image of a format that data.formats does not list. Convert it, or allow the format.",
    "too_many_pixels": "More pixels than data.max_pixels. Deliver it smaller, or raise the limit.",
    "extreme_aspect": "Longer and narrower than data.max_aspect allows. Crop it, or raise the limit.",
    "truncated": "The file ends too early, mostly an upload that broke off. Deliver it again.",
    "animated": "More than one frame. Deliver the frames one by one, or as a video.",
    "decoder_crashed": "The decoder died of it: damaged, or made to do harm. Do not open it by hand; deliver another.",
    "decoder_timeout": "Decoding did not end in time: damaged, or made to do harm. Deliver another.",
    "unsafe_path": "A path that leads out of the delivery, or a link. Rename it, and ask who made the archive.",
    "missing_file": "The manifest names it, but it did not come. Deliver it, or strike its line.",
    "missing_from_manifest": "It came, but no manifest names it. Add its line, or leave it out.",
    "unknown_class": "Its label is none of the project's classes. Correct the label, or add the class.",
    "ambiguous_label": "Several labels at the same time. Leave one.",
    "bad_checksum": "Its bytes are not those the list promises. Deliver it again, or correct the checksum.",
    "forbidden_target": "Its address leads to a private network. Put it where the list may point at.",
    "download_failed": "It could not be fetched. Look at its address, then run the day again.",
    "label_conflict": "The same image came with different labels. Decide which one is right.",
    "failed_expectation": "Its values break an expectation; the Data Docs name which. Correct it, or the suite.",
    "forgotten": "Erased on request, and refused for good. Take it out of the source.",
}


def render_quarantine(project: "Project", partition: str, store: "Store", ledger: "Ledger") -> str:
    """Render what one partition has in quarantine as HTML.

    :raises ArtifactNotFoundError: the partition was never ingested.
    """
    from include.ledger.approvals import list_quarantine_releases
    from include.ledger.quality import list_validations

    rows = _read_rows(store, project.name, partition)
    reasons = Counter(row["reason"] for row in rows).most_common()
    report = {one.partition: one for one in list_validations(ledger, project.name)}.get(partition)
    failed = partition in {one.partition for one in list_validations(ledger, project.name, passed=False)}
    releases = list_quarantine_releases(ledger, project.name)
    return render(
        "quarantine.html",
        project=project,
        partition=partition,
        rows=rows[:SHOWN],
        reasons=reasons,
        total=len(rows),
        remedies=REMEDIES,
        report=report,
        failed={partition} if failed else set(),
        share=_share(report),
        release=next((one for one in releases if report and one.content == report.address), None),
    )


def _read_rows(store: "Store", project: str, partition: str) -> list[dict[str, Any]]:
    """Read all but the bytes that may be kept: nothing renders them."""
    import pyarrow.parquet as pq

    with store.open(f"{project}/quarantine/{partition}.parquet") as file:
        rows: list[dict[str, Any]] = pq.read_table(file, columns=["source", "reason", "detail", "digest"]).to_pylist()
    return rows


def _share(report: "ValidationReport | None") -> float:
    return report.quarantined / report.seen if report and report.seen else 0.0
