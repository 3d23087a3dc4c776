from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa

from include.contracts import ProfileReport
from include.ledger.releases import record_release
from include.ledger.rollouts import complete_rollout, start_rollout
from include.ledger.tables import release_plans
from include.monitoring.series import record_profile
from include.project import DeploymentPolicy
from tests.plugins.samples import RELEASE
from windhover.ui.attention import find_neglect, find_silence, find_unmeasured
from windhover.ui.overview import Overview

POLICY = DeploymentPolicy().model_dump(mode="json")


@pytest.fixture
def serve(ledger):
    """Give a function that puts a release into service, so many hours ago."""

    def put(hours):
        record_release(ledger, RELEASE)
        complete_rollout(ledger, start_rollout(ledger, RELEASE, "run", "direct", POLICY))
        with ledger.begin() as connection:
            earlier = release_plans.c.recorded_at - timedelta(hours=hours)
            connection.execute(sa.update(release_plans).values(recorded_at=earlier))

    return put


@pytest.fixture
def view(machine, project, store, ledger):
    """Give a function that opens the page's view of so many days."""
    return lambda days=7: Overview(project, store, ledger, days=days)


def look(store, began, ended):
    now = datetime.now(UTC)
    start, end = now - timedelta(hours=began), now - timedelta(hours=ended)
    record_profile(
        store, ProfileReport(project="digits", start=start, end=end, release=None, predictions=0, address=None)
    )
    return end


def test_a_fresh_installation_is_neglected_by_nobody(view, serve, store):
    assert (find_neglect(view()), find_silence(view()), find_unmeasured(view())) == (None, None, None)
    look(store, 30, 29)
    serve(1)
    assert find_neglect(view()) is None


def test_a_service_at_which_nobody_ever_looked_is_neglected_since_it_began(view, serve):
    serve(3)
    opened = view()
    assert find_neglect(opened) == opened.service.revisions[-1].at


def test_a_window_without_predictions_is_a_look_all_the_same(view, serve, store):
    serve(72)
    look(store, 2, 1)
    assert find_neglect(view()) is None


def test_the_last_look_counts_whatever_span_is_shown(view, serve, store):
    serve(24 * 30)
    end = look(store, 60, 50)
    assert find_neglect(view(7)) == find_neglect(view(1)) == end


def test_a_window_that_began_before_what_is_shown_is_a_look(view, serve, store):
    serve(72)
    look(store, 40, 0.5)
    assert find_neglect(view(1)) is None
