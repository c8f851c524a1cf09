"""authx.conf.secret_files: secrets that stand in mounted files, for the settings that take them."""

import base64
import json
import logging
import os
from contextlib import contextmanager
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from authx.checks import check_together
from authx.checks.verifier import check_verifier
from authx.conf.secret_files import read_credentials, read_secret
from authx.core.keys import Key
from authx.errors import KeyInvalid, StoreUnavailable
from authx.gate import issuer_http
from authx.gate.keys.keyring import keyset
from authx.gate.revocation.remote import RemoteFeed
from authx.sessions import open_session, recognize

CANARY = "canary-7f3a"


def pem(password=None):
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, encryption
    )


@pytest.fixture
def mounted(tmp_path):
    """Put a secret into a file, and name it as a setting does."""

    def mount(content, name="secret"):
        octets = content if isinstance(content, bytes) else content.encode()
        (tmp_path / name).write_bytes(octets)
        return f"file:{tmp_path / name}"

    return mount


# How it is written


def test_one_newline_at_the_end_is_the_editors_and_nothing_else_is(mounted):
    for content in (b"a b ", b"a b \n", b"a b \r\n"):
        assert read_secret(mounted(content)) == b"a b "
    assert read_secret(mounted(b" a\n\n")) == b" a\n"


def test_a_file_may_be_named_as_a_path_or_as_a_uri(mounted, tmp_path):
    mounted("s", "with space %41")
    path = tmp_path / "with space %41"
    for name in (
        f"file:{path}",
        path.as_uri(),
        path.as_uri().replace("//", "//localhost", 1),
        f"FILE:{path}",
    ):
        assert read_secret(name) == b"s", name
    assert read_secret(f"file:{path}".encode()) == b"s"


def test_a_link_is_followed_as_kubernetes_mounts_are(mounted, tmp_path):
    mounted("old", "..first")
    mounted("new", "..second")
    (tmp_path / "..data").symlink_to("..first")
    (tmp_path / "link").symlink_to("..data")
    assert read_secret(f"file:{tmp_path}/link") == b"old"
    (tmp_path / "..next").symlink_to("..second")
    os.replace(tmp_path / "..next", tmp_path / "..data")
    assert read_secret(f"file:{tmp_path}/link") == b"new"


def unreadable(tmp_path):
    """Each file that holds no secret, and what is said of it."""
    empty, blank, large, pipe = (tmp_path / name for name in ("empty", "blank", "large", "pipe"))
    empty.write_text("")
    blank.write_text(" \n\n")
    large.write_text("x" * 70_000)
    os.mkfifo(pipe)
    return {
        tmp_path / "nowhere": "is not there",
        tmp_path / "nowhere" / "deep": "is not there",
        empty / "beneath": "cannot be read",
        tmp_path: "cannot be read",
        pipe: "cannot be read",
        empty: "is empty",
        blank: "is empty",
        large: "too large",
        f"{empty}\0": "cannot be read",
        f"/{'x' * 5000}": "cannot be read",
    }


def test_what_cannot_be_read_is_said_with_its_path_and_nobody_waits(tmp_path):
    for path, said in unreadable(tmp_path).items():
        with pytest.raises(KeyInvalid, match=said) as refused:
            read_secret(f"file:{path}")
        assert str(path) in str(refused.value)


@pytest.mark.parametrize("name", ["file:", "file:secret", f"file:{CANARY}", f"file://{CANARY}/secret"])
def test_what_names_no_place_on_this_machine_is_not_repeated(name):
    with pytest.raises(KeyInvalid, match=r"file: (is on another host|has no absolute path)") as refused:
        read_secret(name)
    assert CANARY not in str(refused.value)


def test_a_file_that_may_not_be_read_is_one_of_these(mounted, tmp_path):
    name = mounted(CANARY)
    (tmp_path / "secret").chmod(0)
    with not_root(), pytest.raises(KeyInvalid, match="Permission denied"):
        read_secret(name)


@contextmanager
def not_root():
    """Root may read every file; nobody may not."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


# AUTHX_SIGNING_KEYS


@pytest.mark.parametrize(
    "spelling", [str, str.encode, lambda name: {"key": name}], ids=["text", "bytes", "dict"]
)
def test_a_signing_key_stands_in_a_mounted_file(settings, mounted, ada, spelling):
    content = pem()
    settings.AUTHX_SIGNING_KEYS = [spelling(mounted(content))]
    assert keyset().signing.kid == Key.load(content).kid
    assert check_together() == []
    opened = open_session(ada)
    assert recognize(opened.access_token).pk == opened.session.pk


def test_its_password_stands_in_another(settings, mounted):
    content = pem(CANARY.encode())
    settings.AUTHX_SIGNING_KEYS = [
        {"key": mounted(content, "key"), "password": mounted(f"{CANARY}\n", "password")}
    ]
    assert keyset().signing.kid == Key.load(content, password=CANARY).kid


def test_e007_names_the_setting_the_file_and_the_fix(settings, tmp_path):
    good = str(tmp_path / "good.pem")
    (tmp_path / "good.pem").write_bytes(pem())
    for path, said in unreadable(tmp_path).items():
        for entries in (
            [f"file:{path}"],
            [good, {"key": f"file:{path}"}],
            [{"key": good, "password": f"file:{path}"}],
        ):
            settings.AUTHX_SIGNING_KEYS = entries
            (message,) = check_together()
            assert message.id == "authx.E007"
            assert message.msg.startswith(f"AUTHX_SIGNING_KEYS: the file {path} ")
            assert said in message.msg
            assert "readable" in message.hint


@pytest.mark.parametrize("content", [CANARY, CANARY.encode("utf-16"), b"\xff" + CANARY.encode(), "{}"])
def test_e007_what_is_no_key_is_not_shown(settings, mounted, content):
    settings.AUTHX_SIGNING_KEYS = [mounted(content)]
    (message,) = check_together()
    assert message.id == "authx.E007"
    assert CANARY not in message.msg


def test_a_key_that_is_not_mounted_yet_is_one_error_and_then_none(
    settings, tmp_path, api, ada, password, caplog
):
    settings.AUTHX_SIGNING_KEYS = [f"file:{tmp_path}/late.pem"]
    api.raise_request_exception = False
    body = {"username": ada.get_username(), "password": password}
    answer = api.post("/api/auth/login/", body)
    assert answer.status_code == 500
    assert str(tmp_path) not in answer.content.decode()
    assert "late.pem is not there" in caplog.text
    (tmp_path / "late.pem").write_bytes(pem())
    assert api.post("/api/auth/login/", body).status_code == 200


# AUTHX_SERVICE_CREDENTIALS


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("service-1:secret", ("service-1", "secret")),
        ("service-1:secret\n", ("service-1", "secret")),
        ("service-1:sec:ret\r\n", ("service-1", "sec:ret")),
        ("service-1\nsecret\n", ("service-1", "secret")),
        ("service-1\r\nsec:ret\r\n", ("service-1", "sec:ret")),
        ("a:b\nsecret", ("a:b", "secret")),
        ("\ufeffservice-1:sécret", ("service-1", "sécret")),
    ],
)
def test_id_and_secret_stand_in_one_file(mounted, content, expected):
    assert read_credentials(mounted(content)) == expected


def test_or_each_where_it_is_named(mounted):
    assert read_credentials(("service-1", mounted("secret\n"))) == ("service-1", "secret")
    both = [mounted("service-1\n", "id"), mounted("a:b", "secret")]
    assert read_credentials(both) == ("service-1", "a:b")
    assert read_credentials(("service-1", "secret")) == ("service-1", "secret")


@pytest.mark.parametrize(
    "content", [CANARY, f"{CANARY}:", f":{CANARY}", f"a\n{CANARY}\nc", b"\xff" + CANARY.encode()]
)
def test_a_file_of_another_form_is_refused_and_not_shown(mounted, content):
    name = mounted(content)
    with pytest.raises(KeyInvalid, match=r"the file /\S+ (must hold|does not hold)") as refused:
        read_credentials(name)
    assert CANARY not in str(refused.value)


def test_a_secret_of_two_lines_is_none(mounted):
    with pytest.raises(KeyInvalid, match="more than one line"):
        read_credentials(("service-1", mounted(f"{CANARY}\n{CANARY}")))


@pytest.fixture
def verifier(settings):
    settings.AUTHX_REVOCATION_STORE = "remote"
    settings.AUTHX_JWKS_URL = "https://issuer.example/.well-known/jwks.json"
    settings.AUTHX_REVOCATIONS_URL = "https://issuer.example/api/auth/revocations/"
    settings.AUTHX_REVOCATION_LAG = timedelta(seconds=5)
    return settings


def test_e017_names_the_setting_the_file_and_the_fix(verifier, mounted, tmp_path):
    verifier.AUTHX_SERVICE_CREDENTIALS = mounted("service-1:secret")
    assert check_verifier() == []
    for path, said in unreadable(tmp_path).items():
        for value in (f"file:{path}", ("service-1", f"file:{path}"), (f"file:{path}", "secret")):
            verifier.AUTHX_SERVICE_CREDENTIALS = value
            (message,) = check_verifier()
            assert message.id == "authx.E017"
            assert message.msg.startswith(f"AUTHX_SERVICE_CREDENTIALS: the file {path} ")
            assert said in message.msg
            assert "readable" in message.hint


def sent():
    """Who a request to the issuer says that it is from."""
    header = issuer_http._request("https://issuer.example/", None, True).get_header("Authorization")
    return base64.b64decode(header.removeprefix("Basic ")).decode()


def test_a_renewed_secret_is_used_by_the_next_request(settings, mounted):
    """Even one of the same length, written within one tick of the file system's clock."""
    settings.AUTHX_SERVICE_CREDENTIALS = ("service-1", mounted("secret-1\n"))
    assert sent() == "service-1:secret-1"
    mounted("secret-2\n")
    assert sent() == "service-1:secret-2"


def test_without_its_file_nothing_is_sent_and_the_log_says_which(settings, tmp_path, caplog):
    settings.AUTHX_SERVICE_CREDENTIALS = ("service-1", f"file:{tmp_path}/late")
    with pytest.raises(StoreUnavailable), caplog.at_level(logging.WARNING, "authx"):
        RemoteFeed("https://issuer.example/api/auth/revocations/").read()
    assert f"AUTHX_SERVICE_CREDENTIALS: the file {tmp_path}/late is not there" in caplog.text


def test_the_file_is_not_told_of_in_a_traceback(settings, mounted, tmp_path, rf):
    """Django's pages for errors show what a function held, but not what is said to be sensitive."""
    from django.views.debug import ExceptionReporter

    settings.AUTHX_SERVICE_CREDENTIALS = mounted(CANARY)
    try:
        issuer_http._request("https://issuer.example/", None, True)
    except StoreUnavailable as error:
        report = ExceptionReporter(rf.get("/"), type(error), error, error.__traceback__)
        assert CANARY not in json.dumps(report.get_traceback_text())
