"""The store: a tree of immutable files under one URI, written whole or not at all."""

from include.storage.buckets import open_bucket as open_bucket
from include.storage.digests import digest_bytes as digest_bytes
from include.storage.digests import digest_folder as digest_folder
from include.storage.local import sync_folder as sync_folder
from include.storage.local import write_atomically as write_atomically
from include.storage.store import Store as Store
