# Two images: `airflow` carries the whole pipeline (Airflow's parts and MLflow run from it), `serving` answers predictions
# and carries no torch. requirements.lock names every version of both.

FROM python:3.11-slim AS python
# For builds behind a proxy with a certificate authority of its own: a bundle inside the base image.
ARG SSL_CERT_FILE
# A new named volume takes over the owner of the folder it is mounted on.
RUN groupadd --gid 10001 windhover && useradd --uid 10001 --gid windhover --home-dir /tmp windhover \
 && install --directory --owner windhover --group windhover \
      /data /data/store /data/landing /data/logs /data/mlflow /data/secrets /data/serving
WORKDIR /opt/windhover
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/windhover:/opt/windhover/plugins \
    PYTHONUNBUFFERED=1 \
    MALLOC_ARENA_MAX=2 \
    DO_NOT_TRACK=1 \
    ORT_DISABLE_TELEMETRY=1 \
    WINDHOVER_HOME=/data \
    TZ=UTC
ENTRYPOINT ["python", "-m", "deploy.containers.entrypoint"]


FROM python AS serving
# Said again, for builders that do not hand an argument on from stage to stage.
ARG SSL_CERT_FILE
COPY requirements.lock deploy/containers/install.sh deploy/containers/trim.sh deploy/containers/serving.txt ./
RUN sh install.sh --requirements serving.txt --constraints requirements.lock && sh trim.sh
COPY deploy deploy
COPY include include
# Nobody can write bytecode at run time; of the packages, only what serving imports is worth the space.
RUN python -m compileall -q include deploy && python -c "import include.serving.__main__, include.serving.app"
USER windhover
CMD ["serving"]


FROM python AS airflow
COPY requirements.lock deploy/containers/install.sh deploy/containers/airflow.without.txt ./
RUN sh install.sh --compile-bytecode --no-deps --requirements requirements.lock --excludes airflow.without.txt
ENV MLFLOW_DISABLE_TELEMETRY=true GX_ANALYTICS_ENABLED=false GIT_PYTHON_REFRESH=quiet
COPY airflow_settings.yaml ./
COPY deploy deploy
COPY include include
COPY plugins plugins
COPY dags dags
# The pages that an incident or a task names open in the browser.
COPY docs docs
RUN python -m compileall -q include plugins dags deploy
USER windhover
