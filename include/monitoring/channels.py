"""The ways to reach people: Apprise's channels, and a file."""

import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from include.contracts import Severity
from include.storage import digest_bytes

if TYPE_CHECKING:
    from apprise.plugins.base import NotifyBase

SEND_SECONDS = 20
KINDS: dict[Severity, str] = {"critical": "failure", "major": "warning", "minor": "info", "info": "info"}

logger = logging.getLogger(__name__)


class Channel(NamedTuple):
    """One way to reach people.

    :ivar name: Digest of its address, which may hold a password.
    :ivar tags: Whom it is for; without any, it is for everybody.
    """

    name: str
    tags: frozenset[str]
    send: Callable[[str, str, Severity], bool]


def open_channels(urls: str) -> list[Channel]:
    """Read channels in Apprise's text format: one URL a line, `tag=` before it where it is not for everybody.

    What Apprise cannot read it logs, without passwords, and leaves out.
    """
    from apprise import AppriseConfig

    from include.monitoring.notice_file import register

    register()
    configuration = AppriseConfig()
    configuration.add_config(urls, format="text")
    return [_open_channel(service) for service in configuration.services()]


def tell_at_once(channels: Iterable[Channel], title: str, body: str, severity: Severity) -> None:
    """Tell everybody, past the outbox: when the ledger itself is away."""
    for channel in channels:
        if not channel.tags and not channel.send(title, body, severity):
            logger.warning("channel %s did not take: %s", channel.name, title)


def _open_channel(service: "NotifyBase") -> Channel:
    from apprise import Apprise

    def send(title: str, body: str, severity: Severity) -> bool:
        one = Apprise()
        one.add(service)
        return bool(
            one.notify(body=body, title=title, notify_type=KINDS[severity], body_format="text", timeout=SEND_SECONDS)
        )

    address: str = service.url()  # type: ignore[no-untyped-call]
    name = digest_bytes(address.encode()).removeprefix("sha256:")[:16]
    return Channel(name, frozenset(str(tag) for tag in service.tags), send)
