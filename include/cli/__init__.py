"""The manual twin of every stage: `python -m include.cli <verb>`, without Airflow."""
