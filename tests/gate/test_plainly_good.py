"""authx.gate.verify: plainly_good and read_before let in nobody whom the long way refuses."""

import time
from dataclasses import replace
from datetime import timedelta

import pytest
from django.test import override_settings

from authx.conf import conf
from authx.core.access_token import check_claims, write_access_token
from authx.core.keys import Key, KeySet
from authx.errors import SessionEnded, TokenError, TokenNotForUs
from authx.gate import verify
from authx.gate.keys import keyring
from authx.gate.signature_cache import SignatureCache, signatures
from authx.gate.verify import approve, read_before, read_claims
from authx.sessions import end_everyone, end_session, end_user_sessions, open_session
from authx.sessions.authentication import admit_token
from tests.core.test_access_token import CLAIMS
from tests.gate.test_signature_cache import KEYS, Keys, token
from tests.gate.test_stores import _forgetful, choose, quick  # noqa: F401 - fixtures

HOUR = timedelta(hours=1)
#: Settings that judge a token otherwise, and one that makes its key unknown.
OTHER_RULES = [
    {"AUTHX_ISSUER": "https://other.example"},
    {"AUTHX_AUDIENCE": ["another"]},
    {"AUTHX_ACCESS_TOKEN_LIFETIME": timedelta(seconds=5)},
]
OTHER_KEYS = {"SECRET_KEY": "another secret, of which no fallback knows anything at all"}
pytestmark = pytest.mark.django_db(transaction=True)


def plainly_good(token):
    return verify.plainly_good(token, "default")


@pytest.fixture
def known(ada, quick):  # noqa: F811
    """A session whose access token has been let in once."""
    opened = open_session(ada)
    admit_token(opened.access_token)
    assert plainly_good(opened.access_token) == opened.claims
    return opened


def test_a_token_that_was_never_let_in_goes_the_long_way(ada, quick):  # noqa: F811
    opened = open_session(ada)
    assert plainly_good(opened.access_token) is None
    read_claims(opened.access_token)
    assert plainly_good(opened.access_token) is None


def test_what_is_plainly_good_costs_no_statement(known, django_assert_num_queries):
    with django_assert_num_queries(0):
        caller = admit_token(known.access_token)
    assert (caller.claims, caller.is_read) == (known.claims, False)
    assert caller.session.pk == known.session.pk


@pytest.mark.parametrize("how", ["user", "everybody"])
def test_a_mark_from_before_the_login_ends_nothing(how, ada, quick, django_assert_num_queries):  # noqa: F811
    """Its entry is there for an hour and more, under the names of every token of that user, or of all."""
    end_user_sessions(ada, "kicked") if how == "user" else end_everyone("kicked")
    opened = open_session(ada)
    admit_token(opened.access_token)
    with django_assert_num_queries(0):
        assert plainly_good(opened.access_token) == opened.claims


@pytest.mark.parametrize("how", ["session", "user", "everybody"])
def test_an_end_is_told_with_its_reason(how, known, ada):
    ends = {
        "session": lambda: end_session(known.session, "kicked"),
        "user": lambda: end_user_sessions(ada, "kicked"),
        "everybody": lambda: end_everyone("kicked"),
    }
    ends[how]()
    assert plainly_good(known.access_token) is None
    with pytest.raises(SessionEnded) as refusal:
        admit_token(known.access_token)
    assert refusal.value.reason == "kicked"


@pytest.mark.parametrize("change", OTHER_RULES, ids=str)
def test_other_settings_are_other_rules(change, known):
    with override_settings(**change):
        assert plainly_good(known.access_token) is None
        with pytest.raises(TokenError):
            admit_token(known.access_token)
    assert admit_token(known.access_token).claims == known.claims


def test_settings_of_the_same_values_are_asked_anew(known):
    policy = conf.gate_policy
    with override_settings(AUTHX_ISSUER=conf.ISSUER):
        assert conf.gate_policy == policy
        assert conf.gate_policy is not policy
        assert plainly_good(known.access_token) is None


def test_what_old_settings_have_let_in_is_not_approved_by_new_ones(known):
    old = conf.gate_policy
    with override_settings(AUTHX_AUDIENCE=["another"]):
        approve(known.access_token, old)
        assert plainly_good(known.access_token) is None
        with pytest.raises(TokenNotForUs):
            admit_token(known.access_token)


@pytest.mark.parametrize(
    "how", [("database", timedelta(0)), ("authx.sessions.liveness.DatabaseSource", HOUR)], ids=str
)
def test_where_no_copy_is_asked_nothing_is_plain(how, known, settings):
    choose(settings, *how)
    for _ in range(2):
        assert admit_token(known.access_token).is_read
        assert plainly_good(known.access_token) is None


def test_a_withdrawn_key_lets_nobody_in(known):
    with override_settings(**OTHER_KEYS):
        assert keyring.keyset().find(known.claims.kid) is None
        assert plainly_good(known.access_token) is None
        with pytest.raises(TokenError):
            admit_token(known.access_token)


@pytest.mark.parametrize("odd", ["", "A" * 10_000, "\ud800", "a.b.c", "é" * 9000])
def test_what_is_no_token_is_nothing_to_it(odd, known):
    assert plainly_good(odd) is None


# --- where the database is asked about every session, the token alone is taken as read


@pytest.fixture
def read(ada, settings):
    choose(settings, "database", timedelta(0))
    opened = open_session(ada)
    assert read_before(opened.access_token, "default") is None
    admit_token(opened.access_token)
    assert read_before(opened.access_token, "default") == opened.claims
    return opened


def test_it_is_read_once_and_its_session_asked_about_each_time(read, django_assert_num_queries):
    with django_assert_num_queries(2):
        callers = [admit_token(read.access_token) for _ in range(2)]
    assert [(caller.claims, caller.is_read) for caller in callers] == [(read.claims, True)] * 2
    end_session(read.session, "kicked")
    with pytest.raises(SessionEnded) as refusal:
        admit_token(read.access_token)
    assert refusal.value.reason == "kicked"


@pytest.mark.parametrize("change", [*OTHER_RULES, OTHER_KEYS], ids=str)
def test_there_too_other_settings_are_other_rules(change, read):
    with override_settings(**change):
        assert read_before(read.access_token, "default") is None
        with pytest.raises(TokenError):
            admit_token(read.access_token)
    assert admit_token(read.access_token).claims == read.claims


def test_one_whose_session_has_ended_at_its_first_use_is_not_taken_as_read(ada, settings):
    choose(settings, "database", timedelta(0))
    opened = open_session(ada)
    end_session(opened.session, "kicked")
    with pytest.raises(SessionEnded):
        admit_token(opened.access_token)
    assert read_before(opened.access_token, "default") is None


def test_a_service_that_asks_another_issuers_keys_takes_none_as_read(read, settings):
    settings.AUTHX_JWKS_URL = "https://issuer.example/.well-known/jwks.json"
    assert read_before(read.access_token, "default") is None


# --- the same moments as ``check_claims``


@pytest.mark.parametrize("leeway", [0, 0.25, 10, 60])
@pytest.mark.parametrize("changes", [{}, {"nbf": None}, {"late": True}], ids=["nbf", "no nbf", "later nbf"])
def test_it_counts_from_and_until_the_same_moments(leeway, changes):
    claims = read_one(changes)
    policy = policy_of(claims, leeway)
    cache, text = SignatureCache(), write_access_token(claims, KEYS.signing)
    cache.read(text, KEYS, now=claims.iat)
    cache.approve(text, policy)
    edges = [
        edge + side * leeway for edge in (claims.iat, claims.nbf or 0, claims.exp) for side in (-1, 0, 1)
    ]
    moments = [edge + step for edge in edges for step in (-1, 0, 1)]
    told = [cache.find_approved(text, policy, KEYS, now=moment) is not None for moment in moments]
    assert told == [lets_in(claims, policy, moment) for moment in moments]
    assert {True, False} == set(told)


def read_one(changes):
    late = changes.get("late")
    changes = {"nbf": CLAIMS.iat + 30} if late else changes
    return replace(CLAIMS, kid=KEYS.signing.kid, **changes)


def policy_of(claims, leeway):
    return replace(conf.gate_policy, issuer=claims.iss, audience=claims.aud, leeway=timedelta(seconds=leeway))


def lets_in(claims, policy, now):
    try:
        check_claims(
            claims,
            issuer=policy.issuer,
            audience=policy.audience,
            max_lifetime=policy.max_lifetime,
            leeway=policy.leeway,
            now=now,
        )
    except TokenError:
        return False
    return True


def test_a_key_of_the_same_name_is_another_key():
    held, cache, text = Keys(KEYS.signing), SignatureCache(), token()
    claims = cache.read(text, held, now=time.time())
    policy = policy_of(claims, 0)
    cache.approve(text, policy)
    now = claims.iat + 1
    if cache.find_approved(text, policy, held, now) is None:  # it has expired, and was not kept
        cache.read(text, held, now=now)
        cache.approve(text, policy)
    assert cache.find_approved(text, policy, held, now).key is held.find(claims.kid)
    assert cache.find_approved(text, policy, KEYS, now) is None
    assert cache.find_approved(text, policy, KeySet([Key.derive("two")]), now) is None


def test_what_is_not_kept_is_not_approved():
    cache, text = SignatureCache(), token()
    cache.approve(text, conf.gate_policy)
    assert len(cache) == 0


def test_a_forked_or_full_cache_forgets_the_approval(known):
    signatures.clear()
    assert plainly_good(known.access_token) is None
    assert admit_token(known.access_token).claims == known.claims
    assert plainly_good(known.access_token) == known.claims
