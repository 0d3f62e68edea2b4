# The server of registry and ledger. The context is the project: its lock names every package.
ARG MLFLOW_BASE=python:3.11-slim
FROM ${MLFLOW_BASE}

COPY requirements/mlflow.lock /opt/mlflow/
RUN pip install --no-cache-dir --require-hashes --only-binary=:all: -r /opt/mlflow/mlflow.lock
COPY infra/jenkins/mlflow.sh infra/jenkins/mlflow_logins.py /opt/mlflow/

# The folder belongs to who writes into it; a new volume takes that over.
RUN install -d -o 1000 -g 1000 /srv/mlflow
ENV PYTHONDONTWRITEBYTECODE=1 HOME=/tmp MLFLOW_ADDRESS=0.0.0.0 MLFLOW_FILES=/srv/mlflow
WORKDIR /srv/mlflow
EXPOSE 5000
USER 1000:1000

HEALTHCHECK --interval=15s --timeout=10s --start-period=120s --retries=3 \
  CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:5000/health', timeout=9)"]

ENTRYPOINT ["/opt/mlflow/mlflow.sh"]
