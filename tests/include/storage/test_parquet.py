import pyarrow as pa
import pytest
from pyarrow import parquet

from include.errors import ArtifactNotFoundError
from include.storage.parquet import read_table


@pytest.fixture
def table(store):
    written = pa.table({"a": [1, 2], "b": ["x", "y"]})
    with pa.BufferOutputStream() as data:
        parquet.write_table(written, data)
        store.write("project/rows.parquet", data.getvalue().to_pybytes())
    return written


def test_a_table_is_read_whole_or_in_part(store, table):
    assert read_table(store, "project/rows.parquet") == table
    assert read_table(store, "project/rows.parquet", ["b"]) == table.select(["b"])


def test_what_is_not_there_or_damaged_is_told(store, table):
    with pytest.raises(ArtifactNotFoundError):
        read_table(store, "project/none.parquet")
    store.write("project/damaged.parquet", b"PAR1")
    with pytest.raises(pa.ArrowException):
        read_table(store, "project/damaged.parquet")
