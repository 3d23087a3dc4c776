import numpy as np
import pytest

from benchmarks import planted_shortcuts
from benchmarks.drawn_shapes import draw_shapes
from benchmarks.planted_shortcuts import PLANTED, main, plant
from include.training.giveaways import describe


@pytest.mark.parametrize("kind", PLANTED)
def test_each_kind_is_planted_where_it_says(kind):
    clean, planted = ([describe(row, ("a",)) for row in plant(name, 0, 20)[0]] for name in ("clean", kind))
    changed = sum(one.get(kind) != other[kind] for one, other in zip(clean, planted, strict=True))
    assert changed >= 15


def test_the_same_seed_plants_the_same():
    assert plant("colour", 3, 20) == plant("colour", 3, 20) != plant("colour", 4, 20)


def test_shapes_differ_by_seed_and_each_is_there():
    (first, labels), (again, _), (other, _) = (draw_shapes(100, seed) for seed in (1, 1, 2))
    assert set(labels) == set(range(10))
    assert all(np.array_equal(one, same) for one, same in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])


def test_the_tables_name_every_kind_and_count_false_alarms(capsys, monkeypatch):
    monkeypatch.setattr(planted_shortcuts, "PARTS", ())
    assert main(clean_seeds=1, planted_seeds=1, images=250) is True
    printed = capsys.readouterr().out
    assert all(printed.count(kind) >= 2 for kind in PLANTED)
    assert "clean digits: 0 false alarms in 1 draws" in printed
    assert "clean shapes: 0 false alarms in 1 draws" in printed
