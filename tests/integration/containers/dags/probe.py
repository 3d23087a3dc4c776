"""Says on which machine its task ran."""

from airflow.sdk import dag, task


@dag(schedule=None)
def probe():
    """One task on the default queue."""

    @task
    def name_machine() -> str:
        import socket

        return socket.gethostname()

    name_machine()


probe()
