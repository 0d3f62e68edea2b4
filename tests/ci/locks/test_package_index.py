"""What pip and uv are told of one another's index."""

from ci.locks.package_index import for_pip, for_uv, pip_settings


def test_pips_variables_win_over_its_files_and_install_over_global():
    listed = (
        ":env:.index-url='https://variable'\nglobal.index-url='https://file'\n"
        "install.timeout='30'\nglobal.timeout='60'\nglobal.cert='/ca.pem'\n"
    )
    assert pip_settings(listed) == {
        "index-url": "https://variable",
        "timeout": "30",
        "cert": "/ca.pem",
    }


def test_uv_learns_pips_index_certificates_and_proxy(tmp_path):
    pip = {
        "index-url": "https://one",
        "extra-index-url": "https://two\nhttps://three",
        "cert": "/ca.pem",
        "proxy": "http://proxy:3128",
        "trusted-host": "one",
        "find-links": f"{tmp_path} {tmp_path}/gone",
    }
    told = for_uv({"PATH": "/bin", "PYTHONPATH": "/mine"}, pip)
    assert told["UV_DEFAULT_INDEX"] == "https://one"
    assert told["UV_INDEX"] == "https://two https://three"
    assert told["SSL_CERT_FILE"] == "/ca.pem"
    assert told["ALL_PROXY"] == "http://proxy:3128"
    assert told["UV_INSECURE_HOST"] == "one"
    assert told["UV_FIND_LINKS"] == str(tmp_path)
    assert told["PATH"] == "/bin"
    assert "PYTHONPATH" not in told


def test_what_the_caller_tells_uv_or_pip_itself_wins():
    pip = {"index-url": "https://pip"}
    assert for_uv({"UV_DEFAULT_INDEX": "https://uv"}, pip)["UV_DEFAULT_INDEX"] == "https://uv"
    assert "UV_DEFAULT_INDEX" not in for_uv({"UV_INDEX_URL": "https://old"}, pip)
    both = {"UV_DEFAULT_INDEX": "https://uv", "PIP_INDEX_URL": "https://pip"}
    assert for_pip(both)["PIP_INDEX_URL"] == "https://pip"


def test_pip_learns_uvs_index():
    told = for_pip({"UV_DEFAULT_INDEX": "https://uv", "UV_FIND_LINKS": "/a,/b"})
    assert told["PIP_INDEX_URL"] == "https://uv"
    assert told["PIP_FIND_LINKS"] == "/a /b"
