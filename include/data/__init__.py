"""Deliveries in, dataset versions out."""

import logging

# Before anything below imports Great Expectations: it would log hundreds of lines "Skipping registering function ..."
logging.getLogger("great_expectations._docs_decorators").setLevel(logging.WARNING)
