"""The demo: a camera, a model and a lens that wears out, played through Airflow's REST API."""
