# The container of the jobs, engine spark, on SageMaker's own Spark image. From the root of the repository, logged in to
# the registry of your region (its account is another in each: AWS's list is "SageMaker Spark container images"):
#   docker build -f docker/spark.Dockerfile -t ndr-spark:0.1.0 .
ARG SPARK=173754725891.dkr.ecr.us-east-1.amazonaws.com/sagemaker-spark-processing:3.5-cpu-py312

FROM ${SPARK}
# A place of its own: the image's packages are what its start-up of the cluster was tested with. The lock brings no Spark:
# spark-submit puts the client of the image's own Spark on PYTHONPATH, the only one that speaks with it for certain.
RUN /usr/local/bin/python3 -m venv /opt/ndr/venv
COPY docker/requirements.lock /opt/ndr/requirements.lock
RUN /opt/ndr/venv/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r /opt/ndr/requirements.lock
COPY pyproject.toml README.md /opt/ndr/source/
COPY src /opt/ndr/source/src
RUN /opt/ndr/venv/bin/pip install --no-cache-dir --no-index --no-deps --no-build-isolation /opt/ndr/source
COPY docker/start.py /opt/ndr/start.py
# All of ndr runs in the driver, so the other hosts of the cluster never start a Python of ours.
ENV PYSPARK_PYTHON=/opt/ndr/venv/bin/python PYSPARK_DRIVER_PYTHON=/opt/ndr/venv/bin/python
# Root stays: starting the daemons of the cluster needs it, and pip's environment is not theirs.
ENTRYPOINT ["smspark-submit", "/opt/ndr/start.py"]
