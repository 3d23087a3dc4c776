"""Both ways see every image; how fast each is, no test asserts."""

from benchmarks.ingest_throughput import main


def test_every_image_comes_in_and_is_decoded(ledger, ledger_uri, capsys):
    results = main(["--small", "150", "--large", "4", "--rounds", "1", "--ledger", ledger_uri])
    assert [(found.images, found.accepted, found.decoded) for found in results] == [(150, 150, 150), (4, 4, 4)]
    assert "| 150 x 64² |" in capsys.readouterr().out
