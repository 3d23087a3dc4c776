import gzip
import io
import os
import stat
import tarfile
import zipfile

import pytest

from include.data.sources import archives
from include.data.sources.archives import unpack
from include.errors import DataQualityError

FILES = {"cat/1.png": b"one", "dog/deep/ü 2.png": b"two" * 1000, "notes.txt": b""}
AT = 1_700_000_000


def make_zip(files, *, kind=stat.S_IFREG):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            info = zipfile.ZipInfo(name, (2023, 11, 14, 22, 13, 20))
            info.external_attr = (kind | 0o644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, content)
    return data.getvalue()


def make_tar(files, mode="w", **described):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode=mode) as archive:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size, info.mtime = len(content), AT
            for key, value in described.items():
                setattr(info, key, value)
            archive.addfile(info, io.BytesIO(content) if info.size else None)
    return data.getvalue()


MAKERS = {
    "a.zip": make_zip,
    "a.tar": make_tar,
    "a.tar.gz": lambda files: make_tar(files, "w:gz"),
    "a.tgz": lambda files: make_tar(files, "w:gz"),
}


def extract(name, data, folder):
    folder.mkdir(exist_ok=True)
    return unpack(name, io.BytesIO(data), folder)


def read(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", MAKERS)
def test_unpacks_files_with_their_times(name, tmp_path):
    modified = extract(name, MAKERS[name](FILES.items()), tmp_path / "out")
    assert read(tmp_path / "out") == FILES
    assert modified == dict.fromkeys(FILES, float(AT))


@pytest.mark.parametrize("name", MAKERS)
def test_what_systems_add_is_left_out_and_a_dot_in_front_is_nothing(name, tmp_path):
    files = [("./cat/1.png", b"x"), ("__MACOSX/cat/._1.png", b"y"), ("cat/.DS_Store", b"z")]
    extract(name, MAKERS[name](files), tmp_path / "out")
    assert read(tmp_path / "out") == {"cat/1.png": b"x"}


@pytest.mark.parametrize("member", ["../evil.png", "/etc/evil", "a/../../evil", "a\x01b.png", "a//b.png"])
@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_a_name_that_leads_out_is_refused_and_nothing_lands_outside(name, member, tmp_path):
    with pytest.raises(DataQualityError, match="leads out of the archive"):
        extract(name, MAKERS[name]([("fine.png", b"x"), (member, b"x")]), tmp_path / "out")
    assert set(read(tmp_path)) <= {"out/fine.png"}


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFBLK])
def test_a_link_in_a_zip_is_refused(kind, tmp_path):
    with pytest.raises(DataQualityError, match=r"'a\.png' is a link, a device"):
        extract("a.zip", make_zip([("a.png", "/etc/passwd")], kind=kind), tmp_path / "out")
    assert read(tmp_path) == {}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_a_link_or_a_device_in_a_tar_is_refused(kind, tmp_path):
    with pytest.raises(DataQualityError, match=r"'a\.png' is a link, a device"):
        extract("a.tar", make_tar([("a.png", b"")], type=kind, linkname="/etc/passwd"), tmp_path / "out")
    assert read(tmp_path) == {}


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_a_bomb_is_refused_before_it_has_gone_off(name, tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "HARMLESS_BYTES", 1_000_000)
    data = MAKERS[name]([("1.png", bytes(800_000)), ("2.png", bytes(30_000_000))])
    with pytest.raises(DataQualityError, match=r"2\.png.*too many bytes"):
        extract(name, data, tmp_path / "out")
    assert sum(len(content) for content in read(tmp_path).values()) < 100 * len(data) + 1_000_000


def test_a_bomb_among_the_files_that_are_left_out_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "HARMLESS_BYTES", 1_000_000)
    with pytest.raises(DataQualityError, match="too many bytes"):
        extract("a.tgz", make_tar([(".hidden", bytes(30_000_000)), ("1.png", b"x")], "w:gz"), tmp_path / "out")


def test_a_header_that_claims_gigabytes_is_not_read(tmp_path):
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 50_000_000
    data = gzip.compress(header.tobuf() + bytes(50_000_000))
    with pytest.raises(DataQualityError, match="a header claims"):
        extract("a.tgz", data, tmp_path / "out")


def test_more_members_than_allowed_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_MEMBERS", 3)
    extract("a.zip", make_zip([(f"{n}.png", b"x") for n in range(3)]), tmp_path / "three")
    with pytest.raises(DataQualityError, match="more than 3 files"):
        extract("a.zip", make_zip([(f"{n}.png", b"x") for n in range(4)]), tmp_path / "four")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["a.zip", "a.tar"])
@pytest.mark.parametrize("names", [("a.png", "a.png"), ("a", "a/b.png"), ("x" * 300,)])
def test_members_in_each_others_way_are_refused(name, names, tmp_path):
    with pytest.raises(DataQualityError, match="archive a"):
        extract(name, MAKERS[name]([(member, b"x") for member in names]), tmp_path / "out")


@pytest.mark.parametrize("name", MAKERS)
def test_no_cut_goes_unseen(name, tmp_path):
    # Incompressible, so that a cut falls into headers and contents alike.
    files = [(f"{number}.png", os.urandom(700)) for number in range(8)]
    data = MAKERS[name](files)
    end = len(data) if name != "a.tar" else len(data.rstrip(b"\0"))
    for cut in range(0, end - 1, 97):
        with pytest.raises(DataQualityError):
            extract(name, data[:cut], tmp_path / str(cut))


def test_a_damaged_header_is_no_end(tmp_path):
    data = bytearray(make_tar([("1.png", b"x"), ("2.png", b"y"), ("3.png", b"z")]))
    data[1024 + 150] ^= 1
    with pytest.raises(DataQualityError, match=r"at '1\.png'.*damaged or cut off"):
        extract("a.tar", bytes(data), tmp_path / "out")


def test_an_encrypted_member_is_refused(tmp_path):
    data = bytearray(make_zip([("1.png", b"x")]))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    with pytest.raises(DataQualityError, match="encrypted"):
        extract("a.zip", bytes(data), tmp_path / "out")


def test_a_full_disk_is_no_fault_of_the_archive():
    class Full(io.BytesIO):
        def read(self, *_):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        unpack("a.tar", Full(b"x"), None)
