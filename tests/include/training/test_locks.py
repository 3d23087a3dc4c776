import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from include.settings import REPOSITORY
from include.training.locks import is_free, one_at_a_time

HOLD = """
import sys
from include.ledger import Ledger
from include.training.locks import one_at_a_time
with one_at_a_time(Ledger(sys.argv[1]), "a"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_one_holds_a_name_and_others_find_it_taken(ledger):
    with one_at_a_time(ledger, "a"), ledger.begin() as other:
        assert not is_free(other, "a")
        assert is_free(other, "b")
    with ledger.begin() as other:
        assert is_free(other, "a")


def test_whoever_asks_second_waits_for_the_first(ledger):
    steps = []

    def work(number):
        with one_at_a_time(ledger, "a"):
            steps.append(("in", number))
            with ledger.begin() as connection:
                connection.exec_driver_sql("SELECT pg_sleep(0.05)")
            steps.append(("out", number))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    pairs = list(zip(steps[::2], steps[1::2], strict=True))
    assert [(entered[1], left[0]) for entered, left in pairs] == [(left[1], "out") for _, left in pairs]


def test_a_killed_holder_holds_nothing(ledger, ledger_uri):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, ledger_uri],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "held\n"
    with ledger.begin() as other:
        assert not is_free(other, "a")
    holder.kill()
    holder.wait()
    with one_at_a_time(ledger, "a") as connection:
        assert is_free(connection, "b")
