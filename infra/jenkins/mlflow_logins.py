"""Makes MLflow's two logins from the files of their passwords, and gives them changed passwords.

MLflow itself reads the administrator's password only when it makes that login: a changed file would
change nothing. Run by mlflow.sh before each start of the server.
"""

import os
from pathlib import Path

from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore


def main() -> None:
    """Give both logins the passwords of their files."""
    secrets = Path(os.environ["MLFLOW_SECRETS"])
    store = SqlAlchemyStore()
    store.init_db(os.environ["MLFLOW_DATABASE"])
    logins = (
        ("admin", "mlflow-admin-password", True),
        (os.environ["MLFLOW_USERNAME"], "mlflow-password", False),
    )
    for name, file, is_admin in logins:
        password = (secrets / file).read_text().strip()
        if store.has_user(name):
            store.update_user(name, password=password, is_admin=is_admin)
        else:
            store.create_user(name, password, is_admin=is_admin)


if __name__ == "__main__":
    main()
