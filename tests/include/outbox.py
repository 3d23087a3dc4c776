"""What stands in the outbox, told or not."""

import sqlalchemy as sa

from include.ledger import Ledger
from include.ledger.notifications import Notification
from include.ledger.tables import notifications


def find_notification(ledger: Ledger, key: str) -> Notification:
    """Return a notification by its key."""
    columns = [notifications.c[name] for name in Notification._fields]
    with ledger.begin() as connection:
        return Notification(*connection.execute(sa.select(*columns).where(notifications.c.key == key)).one())
