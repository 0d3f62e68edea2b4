"""Robots and mail servers that take, refuse, hang and lie: told at once, bounded, in one line."""

import logging
import subprocess
import sys
import threading
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest

from ci.config import PROJECT, Config, load_config
from ci.errors import HeldError, UsageError
from ci.notifying import bodies
from ci.notifying.telling import news_of, tell, telling_failures, without
from tests.receivers import MailServer, Robot, certificate
from tests.rollout_shop import unused_port

SECRET = "s3cr3t-robot"  # pragma: allowlist secret


@pytest.fixture
def configure(tmp_path, monkeypatch):
    """Returns a function that reads `[notify]`; of each robot the address stands in a variable."""

    def configure(settings: str, **robots: Robot | str) -> Config:
        path = tmp_path / "pipeline.toml"
        path.write_text(f'[shop]\nname = "tea"\n[notify]\n{settings}')
        for name, robot in robots.items():
            monkeypatch.setenv(name, robot.url if isinstance(robot, Robot) else robot)
        return load_config(path)

    return configure


def hook(kind: str, name: str = "team", more: str = "") -> str:
    return f'[notify.webhooks.{name}]\nkind = "{kind}"\nurl_env = "{name.upper()}"\n{more}\n'


def tell_release(config: Config) -> None:
    tell(config, news_of(config, "release", "deployed", model_version=7))


@pytest.mark.parametrize("kind", ["slack", "dingtalk", "wecom", "feishu", "json"])
def test_every_kind_is_posted_and_told(configure, capsys, kind, monkeypatch):
    monkeypatch.setenv("BUILD_URL", "https://ci.example.com/7/")
    with Robot() as robot:
        tell_release(configure(hook(kind), TEAM=robot))
    (post,) = robot.posts
    assert post.path == f"/hook?key={SECRET}"
    assert post.headers["Content-Type"] == "application/json; charset=utf-8"
    assert "https://ci.example.com/7/" in str(post.body)
    told = capsys.readouterr()
    assert told.out == f"notify    team ({kind}) told of the release\n"
    assert told.err == ""


def test_what_must_be_signed_is_and_a_token_is_sent(configure, monkeypatch):
    monkeypatch.setenv("SECRET", "SECret")
    settings = (
        hook("dingtalk", "ding", 'secret_env = "SECRET"')
        + hook("feishu", "fei", 'secret_env = "SECRET"')
        + hook("json", "own", 'token_env = "SECRET"')
    )
    with Robot() as ding, Robot() as fei, Robot() as own:
        tell_release(configure(settings, DING=ding, FEI=fei, OWN=own))
    path, _, signed = ding.posts[0].path.partition("&timestamp=")
    moment = int(signed.partition("&")[0]) / 1000
    assert ding.posts[0].path == bodies.dingtalk_url(path, "SECret", moment)
    body = fei.posts[0].body
    plain = {key: body[key] for key in ("msg_type", "content")}
    assert body == bodies.feishu_body(plain, "SECret", int(body["timestamp"]))
    assert own.posts[0].headers["Authorization"] == "Bearer SECret"


def test_all_are_told_at_once(configure, capsys):
    """Each robot answers only when all three have heard: one after the other, none ever would."""
    meeting = threading.Barrier(3)
    names = ("one", "two", "three")
    settings = "timeout_seconds = 60\n" + "".join(hook("json", name) for name in names)
    with (
        Robot(before=meeting.wait) as one,
        Robot(before=meeting.wait) as two,
        Robot(before=meeting.wait) as three,
    ):
        tell_release(configure(settings, ONE=one, TWO=two, THREE=three))
    assert capsys.readouterr().out.startswith("notify    one (json), two (json), three (json) told")


def test_who_hangs_is_given_up_and_the_others_are_told(configure, capsys):
    """The robots go on hanging until this test has seen that nobody waits for them."""
    released = threading.Event()
    settings = "timeout_seconds = 1\n" + hook("json", "mute") + hook("json", "drip") + hook("json")
    with (
        Robot(before=released.wait) as mute,
        Robot(endless=True) as drip,
        Robot() as team,
    ):
        tell_release(configure(settings, MUTE=mute, DRIP=drip, TEAM=team))
        told = capsys.readouterr()
        released.set()
    assert told.out == "notify    team (json) told of the release\n"
    mute_line, drip_line = told.err.splitlines()
    assert mute_line.startswith("notify    mute (json) was not told of the release: ")
    assert drip_line == (
        "notify    drip (json) was not told of the release: it did not answer within 1 s"
    )


def test_a_command_ends_although_a_robot_hangs(configure, tmp_path):
    """What hangs is in a thread; the process must not wait for it at its end."""
    released = threading.Event()
    settings = "timeout_seconds = 1\n" + hook("json")
    more = f'[storage]\nbuild = "{tmp_path}/build"\nstate = "{tmp_path}/var"\n'
    with Robot(before=released.wait) as robot:
        configure(settings + more, TEAM=robot)
        command = [sys.executable, "-m", "ci", "--config", str(tmp_path / "pipeline.toml"), "gate"]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
        assert len(robot.posts) == 1
        released.set()
    assert done.returncode == 2
    assert "notify    team (json) was not told of the failure" in done.stderr
    assert "is not there yet" in done.stderr
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("kind", "answer", "why"),
    [
        ("slack", (404, "no_service"), "it answered 404: no_service"),
        ("json", (302, ""), "it answered 302: nothing"),  # not followed: the token would go along
        (
            "dingtalk",
            (200, '{"errcode": 310000, "errmsg": "sign not match"}'),
            "it was refused with code 310000: sign not match",
        ),
        (
            "wecom",
            (200, f'{{"errcode": 93000, "errmsg": "bad key {SECRET}"}}'),
            "it was refused with code 93000: bad key ***",
        ),
        (
            "feishu",
            (200, '{"code": 19021, "msg": "sign match fail"}'),
            "it was refused with code 19021: sign match fail",
        ),
        (
            "feishu",
            (200, "<html>Log in</html>"),
            "it answered as no robot of this kind does: <html>",
        ),
        ("wecom", (200, "[]"), "it answered as no robot of this kind does: []"),
    ],
)
def test_what_a_robot_refuses_is_one_line(configure, capsys, kind, answer, why):
    with Robot(*answer) as robot:
        tell_release(configure(hook(kind), TEAM=robot))
    assert len(robot.posts) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"notify    team ({kind}) was not told of the release: {why}")
    assert told.err.count("\n") == 1


@pytest.mark.parametrize(
    ("address", "why"),
    [
        (f"http://127.0.0.1:{unused_port()}/{SECRET}", "ConnectError"),
        (f"ftp://example.com/{SECRET}", "its variable holds no http:// or https:// address"),
        (SECRET, "its variable holds no http:// or https:// address"),
        (f"http://host:{SECRET}/", "its variable holds no http:// or https:// address"),
        (f"http://a\n{SECRET}", "its variable holds no http:// or https:// address"),
    ],
)
def test_an_address_that_is_none_or_nobodys_is_never_quoted(configure, capsys, address, why):
    tell_release(configure(hook("slack"), TEAM=address))
    told = capsys.readouterr().err
    assert told.startswith(f"notify    team (slack) was not told of the release: {why}")
    assert SECRET not in told
    assert told.count("\n") == 1


def test_without_its_variable_a_channel_is_named(configure, capsys):
    tell_release(configure(hook("dingtalk", "ding", 'secret_env = "NO_SUCH"')))
    assert capsys.readouterr().err == (
        "notify    ding (dingtalk) was not told of the release: the variable DING and NO_SUCH is "
        "not set\n"
    )


def test_a_broken_template_stops_nothing(configure, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(bodies, "TEMPLATES", tmp_path)
    (tmp_path / "slack.json.j2").write_text("{{ nobody_knows }}")
    with Robot() as robot:
        tell_release(configure(hook("slack"), TEAM=robot))
    assert robot.posts == []
    assert "team (slack) was not told of the release: UndefinedError" in capsys.readouterr().err


def test_each_hears_what_it_asked_for(configure, capsys):
    settings = hook("json", "team", 'events = ["failure"]')
    with Robot() as robot:
        config = configure(settings, TEAM=robot)
        tell_release(config)
        assert (robot.posts, capsys.readouterr()) == ([], ("", ""))
        with pytest.raises(UsageError), telling_failures(config, "deploy"):
            raise UsageError("There is no bundle.")
    (post,) = robot.posts
    assert post.body["command"] == "bin/ci deploy --environment local"
    assert (post.body["exit_code"], post.body["reason"]) == (2, "There is no bundle.")


def test_a_bug_is_told_and_a_verdict_is_not_told_twice(configure):
    with Robot() as robot:
        config = configure(hook("json"), TEAM=robot)
        with pytest.raises(HeldError), telling_failures(config, "deploy"):
            raise HeldError("HOLD")
        assert robot.posts == []
        with pytest.raises(ZeroDivisionError), telling_failures(config, "deploy"):
            _ = 1 / 0
    assert robot.posts[0].body["reason"] == "ZeroDivisionError: division by zero"
    assert robot.posts[0].body["exit_code"] == 1


def test_an_address_is_in_no_log(configure, caplog):
    caplog.set_level(logging.DEBUG)
    with Robot() as robot:
        tell_release(configure(hook("slack"), TEAM=robot))
    assert len(robot.posts) == 1
    assert SECRET not in caplog.text


def test_an_authority_of_ones_own_is_trusted_where_it_is_named(configure, capsys, tmp_path):
    public, trust = certificate(tmp_path)
    with Robot(trust=trust) as robot:
        tell_release(configure(hook("json"), TEAM=robot))
        assert "CERTIFICATE_VERIFY_FAILED" in capsys.readouterr().err
        tell_release(configure(f'ca_file = "{public.name}"\n{hook("json")}', TEAM=robot))
    assert len(robot.posts) == 1


def mail(server: MailServer, more: str = "") -> str:
    return (
        'ca_file = "receiver.crt"\n[notify.mails.watch]\nhost = "127.0.0.1"\n'
        f"port = {server.port}\n"
        'sender = "pushcart@example.com"\nrecipients = ["a@example.com", "b@example.com"]\n'
        f"{more}\n"
    )


LOGIN = 'username_env = "MAIL_USER"\npassword_env = "MAIL_PASSWORD"\n'


@pytest.fixture
def safe(tmp_path, monkeypatch):
    """What a mail server needs to speak TLS and to know us."""
    monkeypatch.setenv("MAIL_USER", "pushcart")
    monkeypatch.setenv("MAIL_PASSWORD", SECRET)
    return {"trust": certificate(tmp_path)[1], "login": ("pushcart", SECRET)}


@pytest.mark.parametrize(("security", "implicit"), [("starttls", False), ("tls", True)])
def test_mail_goes_by_tls_with_a_login(configure, capsys, safe, security, implicit):
    with MailServer(**safe, implicit=implicit) as server:
        settings = mail(server, f'security = "{security}"\n{LOGIN}')
        tell_release(configure(f'language = "zh"\n{settings}'))
    ((recipients, content, is_safe),) = server.letters
    assert (recipients, is_safe) == (["a@example.com", "b@example.com"], True)
    letter = message_from_bytes(content, policy=default)
    assert letter["Subject"] == "tea：版本 7 已在 local 上线"
    assert (letter["From"], letter["To"]) == (
        "pushcart@example.com",
        "a@example.com, b@example.com",
    )
    assert "版本: 7" in letter.get_content()
    assert capsys.readouterr().out == "notify    watch (mail) told of the release\n"


def test_mail_within_the_house_needs_neither(configure, capsys, safe):
    with MailServer() as server:
        tell_release(configure(mail(server, 'security = "none"')))
    assert [one[2] for one in server.letters] == [False]
    assert capsys.readouterr().err == ""


def test_a_server_without_tls_gets_no_password(configure, capsys, safe):
    with MailServer(login=safe["login"]) as server:
        tell_release(configure(mail(server, LOGIN)))
    assert server.letters == []
    assert "STARTTLS extension not supported" in capsys.readouterr().err


def test_what_a_mail_server_refuses_is_one_line(configure, capsys, safe, monkeypatch):
    with MailServer(**safe, unknown=("b@example.com",)) as server:
        tell_release(configure(mail(server, LOGIN)))
        assert capsys.readouterr().err == (
            "notify    watch (mail) was not told of the release: the server refused b@example.com, "
            "and took the others\n"
        )
        assert [one[0] for one in server.letters] == [["a@example.com"]]
        monkeypatch.setenv("MAIL_PASSWORD", "another-secret")
        tell_release(configure(mail(server, LOGIN)))
        told = capsys.readouterr().err
    assert "SMTPAuthenticationError" in told
    assert "who are you" in told
    assert "another-secret" not in told
    assert told.count("\n") == 1
    tell_release(configure(mail(server, LOGIN)))
    assert "ConnectionRefusedError" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (hook("slack", more='secret_env = "S"'), "kind 'slack' signs nothing"),
        (hook("feishu", more='token_env = "S"'), "kind 'feishu' takes no token"),
        (
            '[notify.webhooks.team]\nkind = "slack"\nurl_env = "https://x/s3cr3t-robot"',
            "notify.webhooks.team.url_env: holds no name of an environment variable",
        ),
        (
            '[notify.mails.watch]\nhost = "x"\nsender = "a@x"\nrecipients = ["b@x"]\n'
            f'security = "none"\n{LOGIN}',
            "would send the password in the clear",
        ),
        (
            '[notify.mails.watch]\nhost = "x"\nsender = "a@x"\nrecipients = ["b@x"]\n'
            'password_env = "P"',
            "set both `username_env` and `password_env`",
        ),
        (
            '[notify.mails.watch]\nhost = "x"\nsender = "a@x"\nrecipients = ["everybody"]',
            "notify.mails.watch.recipients.0",
        ),
    ],
)
def test_settings_that_could_not_work_are_refused_without_a_secret(configure, settings, why):
    with pytest.raises(UsageError) as refused:
        configure(settings)
    assert why in str(refused.value)
    assert SECRET not in str(refused.value)


def test_no_piece_of_an_address_is_left():
    address = "https://hooks.example.com/services/T0123456/B0123456/abcdefgh?key=0123456789"
    said = f"no {address}: /services/T0123456/B0123456/abcdefgh, abcdefgh, 0123456789 at host"
    assert without(said, [address]) == "no ***: /***/***/***/***, ***, *** at host"


def test_the_templates_are_the_kinds():
    names = {path.name for path in Path(bodies.TEMPLATES).glob("*.j2")}
    kinds = ("slack", "dingtalk", "wecom", "feishu", "json")
    assert names == {*(f"{kind}.json.j2" for kind in kinds), "mail.txt.j2"}
