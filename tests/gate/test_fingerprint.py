"""authx_check and the readiness view: a worker that is configured otherwise is told apart."""

from datetime import timedelta
from io import StringIO

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.core.management import CommandError, call_command
from django.test import Client

from authx.gate.fingerprint import AGREED_SETTINGS, agrees, fingerprint, parts
from tests.faults_in_database import outage

READY = "/.well-known/authx-ready"


def run(*words, **options):
    out = StringIO()
    call_command("authx_check", *words, stdout=out, **options)
    return out.getvalue()


def test_two_alike_have_one_fingerprint():
    assert run().strip() == fingerprint() == run("--expect", f" {fingerprint().upper()} ").strip()
    assert agrees(fingerprint())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "another-secret-key-that-is-long-enough-for-anybody"),
        ("SECRET_KEY_FALLBACKS", ["an-older-secret-key-that-is-long-enough-for-all"]),
        ("AUTHX_REFRESH_GRACE", timedelta(seconds=31)),
        ("AUTHX_ACCESS_COOKIE", "__Host-other"),
        ("AUTHX_COOKIE_SAMESITE", "Strict"),
        ("AUTHX_COOKIE_ENCRYPTION", True),
        ("AUTHX_ISSUER", "https://other.example"),
        ("AUTHX_SUBJECT_FIELD", "email"),
        ("AUTHX_AUDIENCE", ["a", "b"]),
        ("AUTHX_REVOCATION_LAG", timedelta(seconds=1)),
        ("AUTHX_SESSION_LIMITS", [{"limit": 1, "when_full": "refuse"}]),
    ],
)
def test_one_that_differs_is_told_apart(settings, name, value):
    before, told = fingerprint(), parts()
    setattr(settings, name, value)
    assert fingerprint() != before
    with pytest.raises(CommandError, match=before):
        run("--expect", before)
    now = parts()
    assert name.removesuffix("_FALLBACKS") in {part for part in told if told[part] != now[part]}


def test_one_key_for_another_algorithm_is_told_apart(settings):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    settings.AUTHX_SIGNING_KEYS = [{"key": pem, "alg": "RS256"}]
    before = fingerprint()
    settings.AUTHX_SIGNING_KEYS = [{"key": pem, "alg": "PS256"}]
    assert fingerprint() != before


def test_what_only_one_process_cares_for_is_not_compared(settings):
    before = fingerprint()
    settings.AUTHX_LOGIN_RATE = None
    settings.AUTHX_RETENTION = timedelta(days=1)
    assert fingerprint() == before
    assert "TRUSTED_PROXIES" not in AGREED_SETTINGS


def test_what_means_the_same_is_the_same_however_it_is_written(settings):
    settings.AUTHX_AUDIENCE = "api"
    settings.AUTHX_SESSION_LIMITS = [{"types": ["ios", "android"], "limit": 1}]
    before = fingerprint()
    settings.AUTHX_AUDIENCE = ("api",)
    settings.AUTHX_SESSION_LIMITS = (
        {"limit": 1, "types": ("android", "ios"), "when_full": "end_least_recent"},
    )
    assert fingerprint() == before


def test_it_says_what_it_is_made_of_and_gives_nothing_away(settings):
    told = run(verbosity=2)
    assert "AUTHX_REFRESH_GRACE" in told
    assert "SECRET_KEY" in told
    assert settings.SECRET_KEY not in told


def test_a_key_that_cannot_be_read_is_said(settings):
    settings.AUTHX_SIGNING_KEYS = ["nonsense"]
    with pytest.raises(CommandError, match="AUTHX_SIGNING_KEYS"):
        run()


# --- the view


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_is_ready_says_so():
    answer = Client().get(READY)
    assert (answer.status_code, answer.json()) == (200, {"ready": True, "fingerprint": fingerprint()})
    assert "no-store" in answer["Cache-Control"]
    assert Client().get(READY, {"expect": fingerprint()}).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_a_worker_that_is_configured_otherwise_is_not_ready():
    answer = Client().get(READY, {"expect": "0" * 16})
    assert (answer.status_code, answer.json()["ready"]) == (503, False)


@pytest.mark.django_db(transaction=True)
def test_a_worker_without_its_database_is_not_ready():
    with outage():
        answer = Client().get(READY)
    assert (answer.status_code, answer.json()) == (503, {"ready": False, "fingerprint": fingerprint()})
    assert answer["Retry-After"]
