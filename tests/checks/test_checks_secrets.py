"""authx.core.guessable and authx.checks.secrets: a SECRET_KEY that can be guessed is found, no other is."""

import base64
import os
import random
import secrets
import string
import uuid

import pytest
from django.core.checks import ERROR, WARNING, Tags, run_checks
from django.core.management.utils import get_random_secret_key
from django.test import override_settings
from django.utils.functional import SimpleLazyObject

from authx.contrib.verifier.apps import VerifierConfig
from authx.core.guessable import complaint
from authx.core.keys import Key

RANDOM = "q7Jw2mXv9sTz4pLb8RfY3nKd6HcG5eVu"  # 32 characters
STARTED = "django-insecure-" + "ouqc8j0sk$gn+*9zja*ii=rs=$q()cs$e*9$fg1(y28d#m8m$d"

SHORT = ["secret", "x" * 31, RANDOM[:31], "django-insecure-" + RANDOM[:31], " " + RANDOM[:31] + "\n" * 9]
SHORT += [" " * 60, b"\x00\x01", b"short", "!!!SET DJANGO_SECRET_KEY!!!", "CHANGEME!!!"]

UNIFORM = ["x" * 50, "ab" * 30, "abc" * 20, "changeme" * 5, b"\0" * 64, "django-insecure-" + "x" * 50]
UNIFORM += ["deadbeef" * 4, "01" * 100, "secret" * 10, "insecure" * 6]

PUBLISHED = [
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",
    "09D25E094FAA6CA2556C818166B7A9563B93F7099F6F0F4CAA6CF63B88E8D3E7",
    "django-insecure-cg#p$g+j9tax!#a3cup@1$8obt2_+&k3q+pmu)5%asj6yjpkag\n",
    b"c292a0a3aa32397cdb050e233733900f",
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",  # SHA-256 of nothing
    "5f4dcc3b5aa765d61d8327deb882cf99",  # MD5 of "password"
]

PATTERNS = [
    "c292a0a3aa32397cdb050e233733900f" * 2,
    "0123456789" * 5,
    "1234567890abcdef" * 3,
    "abcdefghijklmnopqrstuvwxyz0123456789",
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "zyxwvutsrqponmlkjihgfedcba9876543210",
    "acegikmoqsuwybdfhjlnprtvxz0246813579",
    "aabbccddeeffgghhiijjkkllmmnnoopp",
    "1a2b3c4d5e6f7g8h9i0j1k2l3m4n5o6p",
    "qwertyuiopasdfghjklzxcvbnm1234567890",
    "mnbvcxzlkjhgfdsapoiuytrewq0987654321",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "!@#$%^&*()_+abcdefghijklmnopqrstuvwxyz1234567890",
    "key1key2key3key4key5key6key7key8key9",
    "qwerty123!" * 5,
    bytes(range(64)),
    "a" * 24 + "bcdefghijk",
    "aB3$" * 10 + "xyz!",
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
    "x" * 100_000,
    "abcdefghi" * 20_000,
]

WORDS = [
    "your-secret-key-goes-here-and-is-long-enough",
    "thisisaverysecretkeythatnobodyknows",
    "This is my super secret key, please do not tell!",
    "django-insecure-dev-key-change-in-production-2026x9zqwk",
    "CHANGE_ME_TO_A_COMPLEX_RANDOM_SECRET",
    "YOUR_OWN_RANDOM_GENERATED_SECRET_KEY",
    "a-string-secret-at-least-256-bits-long",
    "s3cr3t-k3y-ch4ng3-m3-n0w-pl34s3-pl34s3",
    "P@ssw0rd!P@ssw0rd!P@ssw0rd!P@ssw0rd!",
    "django-insecure-" * 4,
    "correct-horse-battery-staple" * 2,
    "insecure-development-secret-key-do-not-use-in-production",
    b"replace-this-with-a-real-secret-key-in-prod",
    "!!!SET DJANGO_SECRET_KEY!!!" * 2,
    # What nobody has expanded, or called.
    "$(openssl rand -base64 32)______",
    "${DJANGO_SECRET_KEY:?missing django secret key}",
    "os.environ.get('DJANGO_SECRET_KEY')",
    "from django.core.management.utils import get_random_secret_key",
    "<django.utils.functional.SimpleLazyObject object at 0x7f>",
]


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        *((secret, "shorter than 32 characters") for secret in SHORT),
        *((secret, "fewer than 8 different characters") for secret in UNIFORM),
        *((secret, "published") for secret in PUBLISHED),
        *((secret, "words, series or repetitions") for secret in WORDS),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_it_is_said_what_makes_a_secret_guessable_and_nothing_of_it(secret, said):
    found = complaint(secret)
    assert said in found
    assert str(secret) not in found


@pytest.mark.parametrize("secret", [*UNIFORM, *PATTERNS], ids=lambda secret: ascii(secret[:30]))
def test_what_repeats_itself_or_goes_along_a_row_is_guessable_however_long(secret):
    assert complaint(secret).endswith(("repetitions", f"characters ({len(set(as_text(secret)))})"))


def as_text(secret):
    text = secret if isinstance(secret, str) else secret.decode()
    return text.removeprefix("django-insecure-")


def of(alphabet, length):
    return lambda dice: "".join(dice.choices(alphabet, k=length))


GENERATORS = {
    "Django's": of("abcdefghijklmnopqrstuvwxyz0123456789!@#$%^&*(-_=+)", 50),
    "startproject's": lambda dice: "django-insecure-" + GENERATORS["Django's"](dice),
    "token_hex(16)": lambda dice: dice.randbytes(16).hex(),
    "token_hex(32)": lambda dice: dice.randbytes(32).hex(),
    "token_urlsafe(24)": lambda dice: base64.urlsafe_b64encode(dice.randbytes(24)).decode(),
    "token_urlsafe(50)": lambda dice: base64.urlsafe_b64encode(dice.randbytes(50)).decode().rstrip("="),
    "base64 -w 76": lambda dice: base64.encodebytes(dice.randbytes(64)).decode(),
    "base32": lambda dice: base64.b32encode(dice.randbytes(20)).decode(),
    "uuid4().hex": lambda dice: uuid.UUID(bytes=dice.randbytes(16), version=4).hex,
    "uuid4()": lambda dice: str(uuid.UUID(bytes=dice.randbytes(16), version=4)),
    "octets": lambda dice: dice.randbytes(32),
    "hex octets": lambda dice: dice.randbytes(16).hex().encode(),
    "letters": of(string.ascii_lowercase, 32),
    "what can be typed": of(string.printable[:94], 32),
    "another alphabet": of("абвгдежзийклмнопрстуфхцчшщъыьэюя", 32),
}


@pytest.mark.parametrize("kind", GENERATORS)
def test_no_random_secret_is_called_guessable(kind):
    dice = random.Random(kind)
    assert [found for _ in range(2_000) if (found := complaint(GENERATORS[kind](dice)))] == []


@pytest.mark.parametrize(
    "make",
    [
        get_random_secret_key,
        lambda: secrets.token_hex(16),
        lambda: secrets.token_urlsafe(24),
        lambda: uuid.uuid4().hex,
        lambda: os.urandom(32),
    ],
)
def test_nor_is_one_just_made(make):
    assert complaint(make()) is None


# The checks


def found(deploy=False):
    messages = run_checks(tags=[Tags.security], include_deployment_checks=deploy)
    return [message for message in messages if message.id in {"authx.E020", "authx.W020", "authx.E007"}]


def ids(deploy=False):
    return [message.id for message in found(deploy)]


@pytest.mark.parametrize("secret", [RANDOM, STARTED, RANDOM.encode(), SimpleLazyObject(lambda: RANDOM)])
def test_a_good_secret_is_no_matter_for_the_checks(settings, secret):
    settings.SECRET_KEY = secret
    settings.SECRET_KEY_FALLBACKS = [secret]
    assert ids() == ids(deploy=True) == []


@pytest.mark.parametrize(
    "secret", ["secret", "x" * 50, b"x" * 50, WORDS[0], PATTERNS[1], PUBLISHED[0], STARTED[:40]], ids=ascii
)
def test_e020_a_weak_secret_is_an_error_in_production_and_w020_a_warning_on_a_desk(settings, secret):
    settings.SECRET_KEY = secret
    assert ids() == ["authx.W020"]
    assert [message.level for message in found()] == [WARNING]
    assert "authx.E020" in ids(deploy=True)
    assert ERROR in [message.level for message in found(deploy=True)]


def test_e020_a_fallback_still_verifies_and_counts_by_its_place(settings):
    settings.SECRET_KEY_FALLBACKS = [RANDOM, "secret", b"x" * 50]
    assert [message.msg.split()[0] for message in found()] == [
        "SECRET_KEY_FALLBACKS[1]",
        "SECRET_KEY_FALLBACKS[2]",
    ]


def test_e020_says_what_a_guess_opens_and_never_the_secret(settings):
    settings.SECRET_KEY = "correct-horse-canary"
    (message,) = found()
    assert "access tokens" in message.msg
    assert "JWK Set" in message.msg
    settings.AUTHX_SIGNING_KEYS = ["a key of the site's own"]
    (other,) = (message for message in found() if message.id == "authx.W020")
    assert "refresh tokens" in other.msg
    assert "JWK Set" not in other.msg
    for text in (message.msg, other.msg, message.hint, other.hint):
        assert "canary" not in text


@pytest.mark.parametrize("secret", [None, 7, object()])
def test_e020_what_is_no_secret_at_all_breaks_no_check(settings, secret):
    settings.SECRET_KEY_FALLBACKS = [secret]
    assert "authx.W020" in ids()


def test_e020_an_empty_secret_breaks_no_check():
    with override_settings(SECRET_KEY=""):
        assert ids() == ["authx.W020"]
    with override_settings(SECRET_KEY_FALLBACKS=[""]):
        assert sorted(ids()) == ["authx.E007", "authx.W020"]


def test_a_service_that_only_verifies_derives_nothing_and_is_not_told(monkeypatch):
    registered = []
    monkeypatch.setattr(
        "authx.contrib.verifier.apps.register", lambda check, *tags, **options: registered.append(check)
    )
    VerifierConfig.ready(VerifierConfig)
    assert {check.__module__ for check in registered} == {
        "authx.checks",
        "authx.checks.authentication",
        "authx.checks.delegated_views",
        "authx.checks.sockets",
        "authx.checks.stores",
        "authx.checks.verifier",
    }


def test_what_is_derived_is_guessed_offline_from_the_public_key_alone():
    """What the check is for: nobody is asked, nothing is counted, and the private key comes with it."""
    published = Key.derive("letmein").public_jwk()
    guessed = next(
        key for word in ("secret", "admin", "letmein") if (key := Key.derive(word)).kid == published["kid"]
    )
    assert guessed.can_sign
