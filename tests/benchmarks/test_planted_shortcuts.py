import pytest

from benchmarks.planted_shortcuts import PLANTED, main, plant
from include.training.giveaways import describe


@pytest.mark.parametrize("kind", PLANTED)
def test_each_kind_is_planted_where_it_says(kind):
    clean, planted = ([describe(row, ("a",)) for row in plant(name, 0, 20)[0]] for name in ("clean", kind))
    changed = sum(one.get(kind) != other[kind] for one, other in zip(clean, planted, strict=True))
    assert changed >= 15


def test_the_same_seed_plants_the_same():
    assert plant("colour", 3, 20) == plant("colour", 3, 20) != plant("colour", 4, 20)


def test_the_table_names_every_kind(capsys):
    assert main(clean_seeds=1, planted_seeds=1, images=400) is True
    printed = capsys.readouterr().out
    assert all(kind in printed for kind in PLANTED)
    assert "0 false alarms in 1 draws" in printed
