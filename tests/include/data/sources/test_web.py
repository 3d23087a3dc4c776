import io
import ipaddress
import socket

import pytest

from include.data.sources import web
from include.data.sources.web import FileGoneError, FileTooLargeError, ForbiddenTargetError, Web, is_public
from include.errors import ServiceUnavailableError

PRIVATE = """
    127.0.0.1 127.8.9.1 10.0.0.1 172.16.5.4 192.168.1.1 169.254.169.254 0.0.0.0 100.64.0.1 224.0.0.1 240.0.0.1
    255.255.255.255 192.0.2.1 198.18.0.1 :: ::1 fe80::1 fe80::1%1 fc00::1 fd12:3456::1 fec0::1 ff02::1 2001:db8::1
    ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 64:ff9b::a00:1 64:ff9b::7f00:1 2002:7f00:1::
    2001:0:4136:e378:8000:63bf:3fff:fdd2
"""
NO_ADDRESSES = (
    "file:///etc/passwd", "gopher://x/", "//x/y", "", "http://", "http://user:pw@x/", "http://[x", "http://x:y/",
    "http://a b/", "http://ü.example/",
)  # fmt: skip


def fetch(client, server, path, max_bytes=1000):
    file = io.BytesIO(b"left over from before, and long")
    client.fetch(path if "://" in path else f"http://127.0.0.1:{server.server_port}/{path}", file, max_bytes)
    return file.getvalue()


@pytest.mark.parametrize("address", PRIVATE.split())
def test_no_network_of_its_own_is_public(address):
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_the_internet_is_public(address):
    assert is_public(ipaddress.ip_address(address))


def test_fetches_over_what_was_there(server, loopback):
    assert fetch(loopback, server, "file?abc") == b"abc" * 10
    assert server.requests == [("/file?abc", f"127.0.0.1:{server.server_port}")]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]"])
def test_this_machine_is_out_of_reach_by_any_name(server, host):
    with pytest.raises(ForbiddenTargetError, match="no address of the public internet"):
        fetch(Web(), server, f"http://{host}:{server.server_port}/file?x")
    assert server.requests == []


def test_a_redirect_is_judged_like_the_first_address(server, loopback):
    assert fetch(loopback, server, "redirect?/file?a") == b"a" * 10
    for target in ("http://10.0.0.1/", "http://169.254.169.254/latest", "file:///etc/passwd", "ftp://127.0.0.1/"):
        with pytest.raises(ForbiddenTargetError):
            fetch(loopback, server, f"redirect?{target}")


def test_a_name_that_changes_its_address_between_two_looks_wins_nothing(server):
    # Nobody listens at 127.0.0.2, which stands for the internet here.
    answers = iter(["127.0.0.2", "127.0.0.1", "127.0.0.1"])
    judged = []

    def rebind(host, port, **_):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    def permit(address):
        judged.append(str(address))
        return str(address) == "127.0.0.2"

    with pytest.raises(ForbiddenTargetError, match=r"rebound\.example is 127\.0\.0\.1"):
        fetch(Web(permit, rebind), server, f"http://rebound.example:{server.server_port}/file?x")
    assert judged == ["127.0.0.2", "127.0.0.1"]
    assert server.requests == []


def test_one_forbidden_address_among_public_ones_is_enough(server):
    found = [(2, 1, 6, "", ("93.184.216.34", 80)), (2, 1, 6, "", ("10.0.0.7", 80))]
    with pytest.raises(ForbiddenTargetError, match=r"10\.0\.0\.7"):
        fetch(Web(resolve=lambda *_, **__: found), server, "http://mixed.example/")


def test_the_environments_proxy_is_not_asked(server, loopback, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://10.0.0.1:3128")
    assert fetch(loopback, server, "file?a") == b"a" * 10


@pytest.mark.parametrize("url", NO_ADDRESSES)
def test_what_is_no_plain_address_is_forbidden(server, loopback, url):
    with pytest.raises(ForbiddenTargetError):
        loopback.fetch(url, io.BytesIO(), 10)


def test_a_failure_that_passes_is_tried_again_and_a_refusal_is_not(server, loopback):
    assert fetch(loopback, server, "flaky?2") == b"at last"
    assert len(server.requests) == 3
    with pytest.raises(ServiceUnavailableError, match=r"answers 503, 3 times"):
        fetch(loopback, server, "status?503")
    server.requests.clear()
    with pytest.raises(FileGoneError, match="answers 404"):
        fetch(loopback, server, "status?404")
    assert len(server.requests) == 1


def test_redirects_in_a_circle_end(server, loopback):
    with pytest.raises(FileGoneError, match="more than 5 times"):
        fetch(loopback, server, "redirect?")
    assert len(server.requests) == 6


def test_no_more_than_asked_for_is_taken(server, loopback):
    assert len(fetch(loopback, server, "file?" + "x" * 100)) == 1000
    with pytest.raises(FileTooLargeError):
        fetch(loopback, server, "file?" + "x" * 101)
    with pytest.raises(FileTooLargeError):
        fetch(loopback, server, "endless", max_bytes=100_000)


def test_half_a_file_is_no_file(server, loopback):
    with pytest.raises(ServiceUnavailableError, match="3 times"):
        fetch(loopback, server, "cut")


def test_bytes_that_drip_end_in_time(server, loopback, monkeypatch):
    monkeypatch.setattr(web, "MAX_SECONDS", 0.3)
    with pytest.raises(ServiceUnavailableError, match="3 times"):
        fetch(loopback, server, "drip")


def test_nobody_listens(loopback, server):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ServiceUnavailableError, match="does not accept a connection"):
            fetch(loopback, server, f"http://127.0.0.1:{unused.getsockname()[1]}/")
    with pytest.raises(ServiceUnavailableError, match="cannot be resolved"):
        fetch(loopback, server, "http://nowhere.invalid/")
