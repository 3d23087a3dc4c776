from pathlib import Path

from include.storage import digest_bytes, digest_folder


def test_bytes_are_named_by_sha256():
    assert digest_bytes(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_a_folder_is_named_by_names_and_bytes(tmp_path: Path):
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        (folder / "model.onnx").write_bytes(b"x")
    assert digest_folder(one) == digest_folder(two)
    (two / "model.onnx").rename(two / "other.onnx")
    assert digest_folder(one) != digest_folder(two)
