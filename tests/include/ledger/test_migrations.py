"""The migrations make exactly the tables the code uses, however often and however many run them."""

import subprocess
import sys
from collections.abc import Callable

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from include.contracts import ReleasePlan
from include.errors import ServiceUnavailableError
from include.ledger import Ledger
from include.ledger.episodes import list_episodes
from include.ledger.plans import find_plan
from include.ledger.rollouts import find_rollout
from include.ledger.tables import metadata
from include.settings import REPOSITORY


def count_tables(ledger: Ledger) -> int:
    with ledger.begin() as connection:
        return len(sa.inspect(connection).get_table_names())


def test_migrated_ledger_has_the_shape_of_the_tables(ledger: Ledger):
    with ledger.begin() as connection:
        context = MigrationContext.configure(connection, opts={"compare_server_default": True})
        assert compare_metadata(context, metadata) == []


def test_constraints_carry_the_names_of_the_convention(ledger: Ledger):
    """Alembic's comparison ignores primary keys and the condition of a partial index."""
    with ledger.begin() as connection:
        inspector = sa.inspect(connection)
        assert inspector.get_pk_constraint("leases")["name"] == "pk_leases"
        (unclosed,) = inspector.get_indexes("episodes")
    assert unclosed["name"] == "uq_episodes_unclosed"
    assert unclosed["unique"]
    assert "closed" in unclosed["dialect_options"]["postgresql_where"]


def test_migrating_again_changes_nothing(ledger: Ledger):
    before = count_tables(ledger)
    ledger.migrate()
    assert count_tables(ledger) == before == len(metadata.tables) + 1


@pytest.mark.timeout(60)
def test_several_may_migrate_an_empty_database_at_once(create_database: Callable[[str], str]):
    uri = create_database("windhover_at_once")
    code = "import sys; from include.ledger import Ledger; Ledger(sys.argv[1]).migrate()"
    attempts = [
        subprocess.Popen([sys.executable, "-c", code, uri], cwd=REPOSITORY, stderr=subprocess.PIPE) for _ in range(3)
    ]
    errors = [attempt.communicate(timeout=50)[1].decode() for attempt in attempts]
    assert [attempt.returncode for attempt in attempts] == [0, 0, 0], errors
    assert count_tables(Ledger(uri)) == len(metadata.tables) + 1


def test_what_served_before_plans_were_kept_becomes_the_first_plan(create_database, make_release):
    ledger = Ledger(create_database("windhover_plans"))
    ledger.migrate("0005")
    before, after = make_release("before"), make_release("after")
    with ledger.begin() as connection:
        for release in (before, after):
            values = {"project": "digits", "digest": release.digest, "release": release.model_dump_json()}
            statement = "INSERT INTO releases (project, digest, release) VALUES (:project, :digest, :release)"
            connection.execute(sa.text(statement), values)
        rolled_out = (
            "INSERT INTO rollouts (project, release_digest, run, previous_digest, state, reasons)"
            " VALUES ('digits', :digest, 'run', :previous, 'completed', '[]') RETURNING id"
        )
        values = {"digest": after.digest, "previous": before.digest}
        number = connection.scalar(sa.text(rolled_out), values)
        served = "INSERT INTO serving (project, release_digest, rollout) VALUES ('digits', :digest, :number)"
        connection.execute(sa.text(served), {"digest": after.digest, "number": number})
    ledger.migrate()
    plan = find_plan(ledger, "digits")
    assert plan == ReleasePlan(project="digits", revision=1, champion=after, previous=before, rollout=number)
    assert find_rollout(ledger, number).rollout.strategy == "direct"


def test_an_episode_of_before_has_counted_its_one_window(create_database, make_drift):
    ledger = Ledger(create_database("windhover_episodes"))
    ledger.migrate("0006")
    insert = "INSERT INTO episodes (project, state, drift) VALUES ('digits', :state, :drift)"
    with ledger.begin() as connection:
        for state in ("closed", "requested"):
            connection.execute(sa.text(insert), {"state": state, "drift": make_drift().model_dump_json()})
    ledger.migrate()
    newest, older = list_episodes(ledger, "digits")
    assert [(one.trigger, one.windows, one.drift) for one in (newest, older)] == [("drift", 1, make_drift())] * 2
    assert (newest.closed_at, older.closed_at) == (None, older.opened_at)


def test_a_server_that_does_not_answer_is_one_clear_line():
    with pytest.raises(ServiceUnavailableError, match=r"127\.0\.0\.1:1/windhover does not answer") as caught:
        Ledger("postgresql://user:secret@127.0.0.1:1/windhover").migrate()
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)
