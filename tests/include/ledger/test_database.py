import pytest

from include.errors import ContractViolationError, ServiceUnavailableError
from include.ledger import Ledger


@pytest.mark.parametrize("uri", ["", "nonsense", "sqlite:///ledger.db", "mysql://u:secret@host/db"])
def test_an_address_that_is_no_postgresql_is_refused(uri: str):
    with pytest.raises(ContractViolationError, match="WINDHOVER_LEDGER_URI") as caught:
        Ledger(uri)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("driver", ["postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"])
def test_every_way_to_write_postgresql_is_taken(driver: str):
    assert Ledger(f"{driver}://u@host/db").url.drivername == "postgresql+psycopg2"


def test_a_missing_database_is_one_clear_line(ledger: Ledger):
    missing = Ledger(ledger.url.set(database="nowhere").render_as_string(hide_password=False))
    with pytest.raises(ServiceUnavailableError, match='"nowhere" does not exist; see `make status`'), missing.begin():
        pass
