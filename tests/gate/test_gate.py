"""authx.gate: this process's keys, the one question, and whom it is asked of."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from django.contrib.auth import get_user_model
from django.test import override_settings

from authx.conf import secret_keys
from authx.core.access_token import write_access_token
from authx.core.keys import Key
from authx.core.liveness import Liveness
from authx.errors import (
    KeyInvalid,
    KeyUnknown,
    SessionEnded,
    StoreUnavailable,
    TokenExpired,
    TokenMalformed,
    TokenNotForUs,
)
from authx.gate import verify_access_token
from authx.gate.keys import keyring
from authx.gate.revocation import sources
from authx.gate.verify import ensure_live, read_claims
from authx.models import DeviceSession
from authx.sessions import end_session, open_session, recognize

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LATER = START + timedelta(minutes=2)
LIFETIME = timedelta(minutes=15)
LEEWAY = timedelta(seconds=10)
LIVE = Liveness(None)


class Everyone:
    """A store that knows of no ending."""

    def end_reason(self, claims, now):
        return None


class Nobody:
    """A store in which everything has ended."""

    def end_reason(self, claims, now):
        return "kicked"


class Reasonless:
    """A store in which everything has ended, and nobody knows why."""

    def end_reason(self, claims, now):
        return ""


class Unknown:
    """A store that cannot be asked."""

    def end_reason(self, claims, now):
        raise StoreUnavailable("down")


class Answers:
    """A store that answers with all that it knows: nothing has ended, unless it is given something else."""

    def __init__(self, liveness=LIVE):
        self.liveness = liveness

    def answer(self, claims, now):
        return self.liveness


@pytest.fixture
def opened(ada):
    return open_session(ada, now=START)


# verify_access_token


def test_a_good_token_of_a_live_session_gives_its_claims(opened):
    claims = verify_access_token(opened.access_token, now=LATER)
    assert claims == opened.claims
    assert (claims.sid, claims.sub) == (str(opened.session.pk), opened.session.subject)


def test_a_good_token_of_an_ended_session_gives_its_reason(opened):
    end_session(opened.session, "kicked", now=START)
    with pytest.raises(SessionEnded) as refused:
        verify_access_token(opened.access_token, now=LATER)
    assert (refused.value.code, refused.value.reason) == ("session_ended", "kicked")


def test_a_token_is_good_until_its_exp_and_the_leeway(opened, settings):
    limit = START + LIFETIME + LEEWAY
    assert verify_access_token(opened.access_token, now=limit - SECOND)
    with pytest.raises(TokenExpired):
        verify_access_token(opened.access_token, now=limit)
    settings.AUTHX_CLOCK_LEEWAY = timedelta(0)
    with pytest.raises(TokenExpired):
        verify_access_token(opened.access_token, now=START + LIFETIME)
    assert verify_access_token(opened.access_token, now=START + LIFETIME - SECOND)


def test_a_token_from_the_future_is_refused(opened):
    with pytest.raises(TokenMalformed):
        verify_access_token(opened.access_token, now=START - LEEWAY - SECOND)
    assert verify_access_token(opened.access_token, now=START - LEEWAY)


def test_a_token_that_lives_longer_than_is_allowed_now_is_refused(opened, settings):
    settings.AUTHX_ACCESS_TOKEN_LIFETIME = LIFETIME - SECOND
    with pytest.raises(TokenMalformed):
        verify_access_token(opened.access_token, now=LATER)


@pytest.mark.parametrize(
    "elsewhere",
    [{"AUTHX_ISSUER": "https://other.example", "AUTHX_AUDIENCE": "authx"}, {"AUTHX_AUDIENCE": "other"}],
    ids=["issuer", "audience"],
)
def test_a_token_for_somebody_else_is_refused(opened, elsewhere):
    with override_settings(**elsewhere), pytest.raises(TokenNotForUs):
        verify_access_token(opened.access_token, now=LATER)


def test_one_of_several_audiences_is_enough(opened, settings):
    settings.AUTHX_AUDIENCE = ["reports", "authx"]
    assert verify_access_token(opened.access_token, now=LATER)


@pytest.mark.parametrize("token", [None, 7, b"", "", "a.b.c", "a.b.c.d.e", [], {}, "\ud800", "x" * 10**7])
def test_what_is_no_token_is_refused_before_anything_is_asked(db, token, django_assert_num_queries):
    with django_assert_num_queries(0), pytest.raises(TokenMalformed):
        verify_access_token(token, now=LATER)


def test_a_refresh_token_is_no_access_token(opened):
    with pytest.raises(TokenMalformed):
        verify_access_token(opened.refresh_token, now=LATER)


def test_reading_claims_asks_nobody_about_the_session(opened, django_assert_num_queries):
    end_session(opened.session, "kicked", now=START)
    with django_assert_num_queries(0):
        assert read_claims(opened.access_token, now=LATER) == opened.claims


def test_without_an_injected_clock_it_is_the_systems(ada, opened):
    now = open_session(ada)
    assert verify_access_token(now.access_token) == now.claims
    # Of START, which is long ago or yet to come.
    with pytest.raises((TokenExpired, TokenMalformed)):
        verify_access_token(opened.access_token)


# Whom it asks


def test_the_database_is_asked_once_by_default(opened, django_assert_num_queries):
    with django_assert_num_queries(1):
        verify_access_token(opened.access_token, now=LATER)


def test_a_store_of_the_sites_own_is_asked_instead(opened, settings, django_assert_num_queries):
    end_session(opened.session, "logout", now=START)
    settings.AUTHX_REVOCATION_STORE = f"{__name__}.Everyone"
    with django_assert_num_queries(0):
        assert verify_access_token(opened.access_token, now=LATER) == opened.claims
    settings.AUTHX_REVOCATION_STORE = f"{__name__}.Nobody"
    with pytest.raises(SessionEnded) as refused:
        verify_access_token(opened.access_token, now=LATER)
    assert refused.value.reason == "kicked"


def test_a_store_that_cannot_say_lets_nobody_in(opened, settings):
    settings.AUTHX_REVOCATION_STORE = f"{__name__}.Unknown"
    with pytest.raises(StoreUnavailable):
        verify_access_token(opened.access_token, now=LATER)


def test_a_store_may_be_handed_in(opened):
    with pytest.raises(SessionEnded):
        verify_access_token(opened.access_token, store=Nobody(), now=LATER)


def test_a_store_is_asked_only_about_good_tokens(opened):
    with pytest.raises(TokenMalformed):
        verify_access_token(opened.access_token[:-4] + "AAAA", store=Unknown(), now=LATER)


def test_each_question_has_a_source_of_its_own(settings):
    settings.AUTHX_REVOCATION_STORE = f"{__name__}.Answers"
    first, second = sources.source(), sources.source()
    assert isinstance(first, Answers)
    assert first is not second


def test_at_the_issuer_the_row_is_read_whatever_the_store(opened, settings):
    settings.AUTHX_REVOCATION_STORE = f"{__name__}.Everyone"
    end_session(opened.session, "kicked", now=START)
    with pytest.raises(SessionEnded):
        recognize(opened.access_token, now=LATER)


def test_a_store_may_say_who_took_the_place_and_hand_over_what_it_has_read(opened):
    live = Liveness(None, snapshot=opened.session)
    assert ensure_live(opened.claims, Answers(live)) is live
    with pytest.raises(SessionEnded) as refused:
        ensure_live(opened.claims, Answers(Liveness("replaced", replaced_by="ios")))
    error = refused.value
    assert (error.reason, error.sid, error.replaced_by) == ("replaced", opened.session.pk, "ios")


def test_an_ending_without_a_word_for_why_is_an_ending(opened):
    for store in (Answers(Liveness("")), sources.answering(Reasonless())):
        with pytest.raises(SessionEnded):
            ensure_live(opened.claims, store)


def test_a_session_of_an_issuer_that_names_them_otherwise_ends_without_a_sid(opened):
    with pytest.raises(SessionEnded) as refused:
        ensure_live(replace(opened.claims, sid="theirs"), Answers(Liveness("kicked")))
    assert refused.value.sid is None


@pytest.mark.parametrize("lag", [timedelta(0), timedelta(seconds=5)])
def test_at_the_issuer_the_answer_holds_the_row_where_it_was_read(opened, settings, lag):
    settings.AUTHX_REVOCATION_LAG = lag
    sources._copies.clear()
    found = ensure_live(opened.claims, now=LATER)
    assert (found.reason, found.snapshot and found.snapshot.session) == (
        None,
        None if lag else opened.session,
    )
    sources._copies.clear()


# The keyring


@pytest.fixture(scope="module")
def ec_key():
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def private():
    return {
        "ES256": ec.generate_private_key(ec.SECP256R1()),
        "RS256": rsa.generate_private_key(65537, 2048),
        "EdDSA": ed25519.Ed25519PrivateKey.generate(),
    }


def pem(key, password=None):
    sealed = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed).decode()


def public_pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def kids():
    return [key.kid for key in keyring.keyset()]


def test_without_keys_of_its_own_a_site_signs_with_what_its_secret_gives(settings):
    assert kids() == [Key.derive(settings.SECRET_KEY).kid]
    assert keyring.keyset().signing.alg == "ES256"


def test_the_secrets_before_it_verify_and_do_not_sign(settings):
    settings.SECRET_KEY_FALLBACKS = ["older-secret", "oldest-secret"]
    derived = [Key.derive(secret).kid for secret in (settings.SECRET_KEY, "older-secret", "oldest-secret")]
    assert kids() == derived
    assert keyring.keyset().signing.kid == derived[0]
    assert secret_keys() == (settings.SECRET_KEY, "older-secret", "oldest-secret")


@pytest.mark.parametrize("alg", ["ES256", "RS256", "EdDSA"])
def test_a_key_may_be_pem_text_or_bytes(settings, private, alg):
    key = Key.load(pem(private[alg]))
    for source in (pem(private[alg]), pem(private[alg]).encode()):
        settings.AUTHX_SIGNING_KEYS = [source]
        assert list(keyring.keyset()) == [key]
        assert keyring.keyset().signing.alg == alg


def test_a_key_may_be_a_path_of_any_kind(settings, ec_key, tmp_path):
    path = tmp_path / "key.pem"
    path.write_text(pem(ec_key))
    for source in (path, str(path), str(path).encode(), {"key": path}):
        settings.AUTHX_SIGNING_KEYS = [source]
        assert kids() == [Key.load(pem(ec_key)).kid]


def test_a_key_may_come_with_its_algorithm_and_its_password(settings, private):
    sealed = {"key": pem(private["RS256"], b"sesame"), "password": "sesame", "alg": "PS256"}
    settings.AUTHX_SIGNING_KEYS = [sealed]
    assert keyring.keyset().signing.alg == "PS256"
    settings.AUTHX_SIGNING_KEYS = [sealed | {"password": "wrong"}]
    with pytest.raises(KeyInvalid):
        keyring.keyset()


def test_a_key_that_cannot_be_found_is_not_repeated_in_the_error(settings, ec_key):
    for source in ["/no/such/key.pem", pem(ec_key)[28:], "\0", b"\xff\xfe", "x" * 100_000]:
        settings.AUTHX_SIGNING_KEYS = [source]
        with pytest.raises(KeyInvalid, match="neither PEM text nor a readable file") as refused:
            keyring.keyset()
        assert refused.value.__suppress_context__
        assert str(source)[:20] not in str(refused.value)


def test_a_token_signed_by_a_configured_key_is_good(ada, settings, private):
    for alg, key in private.items():
        settings.AUTHX_SIGNING_KEYS = [pem(key)]
        opened = open_session(ada, now=START)
        assert recognize(opened.access_token, now=LATER).pk == opened.session.pk, alg


def test_keys_are_published_then_sign_then_retire_and_nobody_notices(ada, settings, private):
    old, new = pem(private["ES256"]), pem(private["EdDSA"])
    settings.AUTHX_SIGNING_KEYS = [old]
    before = open_session(ada, now=START)
    settings.AUTHX_SIGNING_KEYS = [old, new]
    between = open_session(ada, now=START)
    settings.AUTHX_SIGNING_KEYS = [new, public_pem(private["ES256"])]
    after = open_session(ada, now=START)
    for opened in (before, between, after):
        assert verify_access_token(opened.access_token, now=LATER)
    settings.AUTHX_SIGNING_KEYS = [new]
    assert verify_access_token(after.access_token, now=LATER)
    for opened in (before, between):
        with pytest.raises(KeyUnknown):
            verify_access_token(opened.access_token, now=LATER)


def test_with_keys_of_its_own_a_site_takes_no_derived_one(opened, settings, ec_key):
    settings.AUTHX_SIGNING_KEYS = [pem(ec_key)]
    with pytest.raises(KeyUnknown):
        verify_access_token(opened.access_token, now=LATER)


def test_the_first_key_must_be_able_to_sign(settings, ec_key):
    settings.AUTHX_SIGNING_KEYS = [public_pem(ec_key)]
    with pytest.raises(KeyInvalid):
        keyring.keyset()


def test_the_keys_are_read_once_and_again_when_a_setting_changes(settings, ec_key, tmp_path):
    path = tmp_path / "key.pem"
    path.write_text(pem(ec_key))
    settings.AUTHX_SIGNING_KEYS = [path]
    first = keyring.keyset()
    path.unlink()
    settings.AUTHX_ISSUER = "https://id.example"
    assert keyring.keyset() is first
    for change in ({"SECRET_KEY": "another"}, {"SECRET_KEY_FALLBACKS": ["x"]}, {"AUTHX_SIGNING_KEYS": []}):
        path.write_text(pem(ec_key))
        read = keyring.keyset()
        with override_settings(**change):
            assert keyring.keyset() is not read
        assert keyring.keyset() is not read


def test_the_gate_writes_nothing(opened):
    before = DeviceSession.objects.values().get()
    verify_access_token(opened.access_token, now=LATER)
    assert DeviceSession.objects.values().get() == before


@pytest.mark.django_db
def test_a_refusal_says_which_session_has_ended_whoever_was_asked():
    opened = open_session(
        get_user_model()._default_manager.create(**{get_user_model().USERNAME_FIELD: "a@b.de"})
    )
    with pytest.raises(SessionEnded) as refused:
        verify_access_token(opened.access_token, store=Nobody())
    assert refused.value.sid == opened.session.pk
    elsewhere = write_access_token(replace(opened.claims, sid="no UUID"), keyring.keyset().signing)
    with pytest.raises(SessionEnded) as refused:
        verify_access_token(elsewhere, store=Nobody())
    assert refused.value.sid is None
