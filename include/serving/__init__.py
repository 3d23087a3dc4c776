"""The serving process: answers prediction requests with the release that the ledger names."""
