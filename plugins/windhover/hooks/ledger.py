"""Hook to the ledger."""

from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

if TYPE_CHECKING:
    from include.ledger import Ledger

LEDGER_CONNECTION = "windhover_ledger"


class LedgerHook(BaseHook):
    """Open the ledger with the credentials of an Airflow connection.

    :param connection_id: A PostgreSQL connection.
    """

    def __init__(self, connection_id: str = LEDGER_CONNECTION) -> None:
        super().__init__()
        self.connection_id = connection_id

    def open_ledger(self) -> "Ledger":
        """Return the ledger; nothing connects before its first transaction."""
        from include.ledger import Ledger

        return Ledger(self.get_connection(self.connection_id).get_uri())
