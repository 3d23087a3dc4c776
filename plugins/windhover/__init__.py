"""The Airflow face of the library: thin operators, deferrable sensors, triggers, hooks, links and pages."""
