"""Tables in the store."""

import io
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from include.storage.store import Store


def read_table(store: Store, address: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a Parquet file of the store, whole or some of its columns.

    :raises ArtifactNotFoundError: there is none.
    :raises pyarrow.ArrowException: it is damaged, or lacks a column.
    """
    return pq.read_table(io.BytesIO(store.read(address)), columns=columns)
