import subprocess
import sys

import pytest

from include.errors import ContractViolationError
from include.evaluation.probes import explanations_address
from include.registry.aliases import CANDIDATE, CHAMPION, PREVIOUS
from include.registry.standing import ALIASES, find_explanations, find_graph_fault, list_standings
from include.settings import REPOSITORY
from tests.include.certified import certify, crown
from tests.plugins.samples import MODEL


def test_standings_are_named_newest_first_and_a_page_at_a_time(home, store, ledger):
    for number in (1, 2, 3):
        certify(number, store, ledger)
    crown(2, ledger)
    store.write("digits/reports/model_card/3/index.html", b"")
    three, two = list_standings("digits", ledger, store, 2)
    assert [(one.version.version, one.names, one.fault) for one in (three, two)] == [
        (3, (), ""),
        (2, ("champion",), ""),
    ]
    assert (three.pages["model_card"], two.pages["model_card"]) == ("digits/reports/model_card/3/index.html", "")
    assert two.pages["evaluation"] == two.certificate.decision.candidate.page
    assert [one.version.version for one in list_standings("digits", ledger, store, 2, before=2)] == [1]
    assert list_standings("parts", ledger, store, 2) == []


def test_looking_loads_neither_mlflow_nor_torch_into_the_web_server():
    loads = "import sys, include.registry.standing; print({'mlflow', 'torch', 'lance'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", loads], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    assert set(ALIASES) == {CANDIDATE, CHAMPION, PREVIOUS}


def test_explanations_are_found_once_they_are_written(store):
    assert find_explanations(MODEL, store) == ""
    address = explanations_address(MODEL)
    store.write(address, b"")
    assert find_explanations(MODEL, store) == address


def test_without_a_certificate_nobody_knows_the_right_graph(home, store, ledger):
    certify(1, store, ledger, signed=False)
    [one] = list_standings("digits", ledger, store, 1)
    assert "does not say" in find_graph_fault(one, store)


def test_another_trusted_certificate_does_not_pass_for_this_one(home, store, ledger):
    certify(1, store, ledger)
    certify(2, store, ledger)
    with ledger.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE certificates SET signed = (SELECT signed FROM certificates WHERE version = 1) WHERE version = 2"
        )
    two, one = list_standings("digits", ledger, store, 10)
    assert one.certificate
    assert (two.certificate, two.fault[:20]) == (None, "it is that of versio")


def test_an_accuracy_that_was_changed_in_the_ledger_is_not_the_certified_one(home, store, ledger):
    certify(1, store, ledger)
    with ledger.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE model_versions SET model_version = jsonb_set(model_version::jsonb, '{accuracy}', '0.99')"
        )
    [one] = list_standings("digits", ledger, store, 10)
    assert (one.certificate, one.fault[-15:]) == (None, "accuracy 0.9500")


def test_a_version_row_that_was_damaged_is_named(home, store, ledger):
    certify(1, store, ledger)
    with ledger.begin() as connection:
        connection.exec_driver_sql("UPDATE model_versions SET model_version = '{}'")
    with pytest.raises(ContractViolationError, match="model version 1"):
        list_standings("digits", ledger, store, 10)
