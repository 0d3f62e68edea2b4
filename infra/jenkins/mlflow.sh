#!/bin/sh
# Registry and ledger: MLflow with logins, on PostgreSQL, files through the server. Stop it with TERM.
#
#   MLFLOW_DATABASE       postgresql+psycopg://user@host/database; its password is a file
#   MLFLOW_SECRETS        folder of postgresql-password, mlflow-session-key, mlflow-admin-password
#                         (who gives rights) and mlflow-password (who builds); default: /run/secrets
#   MLFLOW_USERNAME       the login of the builds
#   MLFLOW_FILES          folder of what runs attach
#   MLFLOW_NAMES          names by which clients call the server, as in `mlflow:5000,localhost:*`
#   MLFLOW_ADDRESS, MLFLOW_PORT, MLFLOW_PYTHON   default: loopback, 5000, python3
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
python=${MLFLOW_PYTHON:-python3}
export MLFLOW_SECRETS="${MLFLOW_SECRETS:-/run/secrets}"

# Secrets travel in the environment of this process and its children, never in an argument.
PGPASSWORD=$(cat "$MLFLOW_SECRETS/postgresql-password")
MLFLOW_FLASK_SERVER_SECRET_KEY=$(cat "$MLFLOW_SECRETS/mlflow-session-key")
export PGPASSWORD MLFLOW_FLASK_SERVER_SECRET_KEY
export MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false

umask 077
MLFLOW_AUTH_CONFIG_PATH=$(mktemp)
export MLFLOW_AUTH_CONFIG_PATH
# Everybody who may log in may read; who makes a model or an experiment may change it.
cat >"$MLFLOW_AUTH_CONFIG_PATH" <<END
[mlflow]
default_permission = READ
database_uri = $MLFLOW_DATABASE
admin_username = admin
END

"$python" "$here/mlflow_logins.py"
exec "$python" -m mlflow server --app-name=basic-auth --workers=2 \
  --backend-store-uri="$MLFLOW_DATABASE" --artifacts-destination="$MLFLOW_FILES" \
  --host="${MLFLOW_ADDRESS:-127.0.0.1}" --port="${MLFLOW_PORT:-5000}" --allowed-hosts="$MLFLOW_NAMES"
