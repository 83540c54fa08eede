# Airflow with Evergreen: one image for every service of docker-compose.yaml that is Airflow's or MLflow's.
# Pinned by tag; pin the digest of the image you tested as well (FROM name:tag@sha256:...).
ARG BASE=apache/airflow:slim-3.3.2-python3.12

FROM ${BASE} AS wheel
COPY --chown=airflow:0 pyproject.toml README.md LICENSE /tmp/source/
COPY --chown=airflow:0 include /tmp/source/include
COPY --chown=airflow:0 plugins /tmp/source/plugins
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /tmp/wheels /tmp/source

FROM ${BASE}
COPY constraints.txt /tmp/
# boto3 is what MLflow's server keeps artifacts on S3 with.
RUN --mount=type=bind,from=wheel,source=/tmp/wheels,target=/tmp/wheels \
    pip install --no-cache-dir --constraint /tmp/constraints.txt boto3 \
    "$(echo /tmp/wheels/*.whl)[airflow,alerts,celery,evidently,postgres,s3]"
COPY deploy/command.py deploy/healthy.py deploy/init.py /opt/airflow/deploy/
USER airflow
