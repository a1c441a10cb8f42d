# The container of the jobs, engine duckdb. From the root of the repository:
#   docker build -f docker/python.Dockerfile -t ndr:0.1.0 .
ARG PYTHON=public.ecr.aws/docker/library/python:3.11.13-slim-bookworm

FROM ${PYTHON} AS made
RUN python -m venv /opt/ndr/venv
COPY docker/requirements.lock /opt/ndr/requirements.lock
RUN /opt/ndr/venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r /opt/ndr/requirements.lock
COPY pyproject.toml README.md /opt/ndr/source/
COPY src /opt/ndr/source/src
RUN /opt/ndr/venv/bin/pip install --no-cache-dir --no-index --no-deps --no-build-isolation /opt/ndr/source

FROM ${PYTHON}
COPY --from=made /opt/ndr/venv /opt/ndr/venv
ENV PATH=/opt/ndr/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# The steps of our pipelines mount nothing, and write to the temporary folder alone; root is not needed for that.
RUN useradd --uid 10001 --home-dir /var/lib/ndr --create-home ndr
USER ndr
WORKDIR /var/lib/ndr
ENTRYPOINT ["ndr"]
