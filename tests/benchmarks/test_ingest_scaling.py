"""Both sizes come in whole; how long they take, no test asserts."""

from benchmarks.ingest_scaling import main


def test_both_sizes_come_in(ledger, ledger_uri, capsys):
    few, many = main(["--images", "20", "--factor", "3", "--ledger", ledger_uri])
    assert (few.accepted, many.accepted) == (20, 60)
    assert min(few.peak_bytes, many.peak_bytes) > 10_000_000
    assert "| 60 x 64² |" in capsys.readouterr().out
