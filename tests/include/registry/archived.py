"""A registry with certified versions, and a dataset to choose probe images from."""

import sqlalchemy as sa

from include.ledger.tables import dataset_versions
from include.registry.register import register_model


class Registry:
    """One project's registry, and what its functions are called with."""

    def __init__(self, project, store, ledger, tracking, decide, dataset):
        self.project, self.store, self.ledger, self.tracking = project, store, ledger, tracking
        self.name = project.name
        self._decide = decide
        row = {"project": self.name, "version": dataset.version, "digest": dataset.digest}
        with ledger.begin() as connection:
            document = dataset.model_dump(mode="json")
            connection.execute(sa.insert(dataset_versions).values(**row, dataset=document))

    @property
    def places(self):
        return self.project, self.store, self.ledger, self.tracking

    def register(self, model):
        return register_model(self._decide(model), *self.places)

    def read_tree(self, address):
        return {one: self.store.read(one) for one in self.store.list(address)}
