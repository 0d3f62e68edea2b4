"""The real servers behind the fixtures, and the rule about skips."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_postgresql_answers_keeps_unicode_and_logs_each_statement(postgresql):
    answer = postgresql.run_sql(
        "SELECT '购物车' || sum(n) OVER () FROM (VALUES (20), (22)) AS t(n);"
    )
    assert answer.splitlines() == ["购物车42", "购物车42"]
    assert "OVER ()" in postgresql.log.read_text()


def test_mariadb_answers_and_keeps_unicode(mariadb):
    mariadb.run_sql("CREATE TABLE words (word TEXT); INSERT INTO words VALUES ('购物车🛒');")
    try:
        assert mariadb.run_sql("SELECT word, char_length(word) FROM words;") == "购物车🛒\t4\n"
    finally:
        mariadb.run_sql("DROP TABLE words;")


@pytest.mark.parametrize("name", ["postgresql", "mariadb"])
def test_a_wrong_password_is_refused(name, request):
    server = request.getfixturevalue(name)
    command = (
        {
            "postgresql": "psql -h {} -p {} -U {} -c",
            "mariadb": "mariadb --no-defaults -h {} -P {} -u {} -e",
        }[name]
        .format(server.host, server.port, server.user)
        .split()
    )
    environment = {"PATH": os.environ["PATH"], "PGPASSWORD": "wrong", "MYSQL_PWD": "wrong"}
    done = subprocess.run(
        [*command, "SELECT 1"], env=environment, text=True, capture_output=True, check=False
    )
    assert done.returncode != 0
    assert "password" in done.stderr


SUITE = {
    "silent": "import pytest\n\n\ndef test_it():\n    pytest.skip('I had no time')\n",
    "module": "import pytest\n\npytest.importorskip('no_such_module')\n",
    "outside": (
        "from tests.services import require_outside\n\n\n"
        "def test_it():\n    require_outside('NO_SUCH_URL', 'a server of yours')\n"
    ),
    "xfail": "import pytest\n\n\n@pytest.mark.xfail\ndef test_it():\n    assert False\n",
}


@pytest.mark.parametrize(
    ("kind", "ci", "code", "says"),
    [
        ("silent", "", 0, "1 skipped"),
        ("silent", "true", 1, "skipped although CI=true: I had no time"),
        ("module", "true", 2, "skipped although CI=true: could not import 'no_such_module'"),
        ("outside", "true", 0, "NO_SUCH_URL is not set (a server of yours)"),
        ("xfail", "true", 0, "1 xfailed"),
    ],
)
def test_a_skip_is_a_failure_in_ci_unless_its_resource_lies_outside(tmp_path, kind, ci, code, says):
    (tmp_path / "test_skips.py").write_text(SUITE[kind])
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml")]
    command += ["-p", "tests.conftest", "-p", "no:cacheprovider", str(tmp_path)]
    environment = {**os.environ, "CI": ci, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, text=True, capture_output=True, check=False)
    assert done.returncode == code, done.stdout
    assert says in done.stdout
