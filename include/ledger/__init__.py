"""Decisions, rollouts and episodes that outlive every run: the history MLflow and Airflow do not keep."""

from include.ledger.database import Ledger as Ledger
