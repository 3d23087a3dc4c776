"""The tables of the ledger. Contracts are kept as JSON beside the columns that queries need."""

from include.ledger.tables.data import dataset_reads as dataset_reads
from include.ledger.tables.data import dataset_versions as dataset_versions
from include.ledger.tables.data import erasures as erasures
from include.ledger.tables.data import forgotten as forgotten
from include.ledger.tables.data import memberships as memberships
from include.ledger.tables.data import partitions as partitions
from include.ledger.tables.data import quarantine_releases as quarantine_releases
from include.ledger.tables.data import validations as validations
from include.ledger.tables.metadata import metadata as metadata
from include.ledger.tables.models import alias_moves as alias_moves
from include.ledger.tables.models import audit_entries as audit_entries
from include.ledger.tables.models import candidates as candidates
from include.ledger.tables.models import certificates as certificates
from include.ledger.tables.models import decisions as decisions
from include.ledger.tables.models import holds as holds
from include.ledger.tables.models import leases as leases
from include.ledger.tables.models import model_versions as model_versions
from include.ledger.tables.models import retirements as retirements
from include.ledger.tables.service import episodes as episodes
from include.ledger.tables.service import release_plans as release_plans
from include.ledger.tables.service import releases as releases
from include.ledger.tables.service import replicas as replicas
from include.ledger.tables.service import rollouts as rollouts
