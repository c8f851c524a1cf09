"""authx.sessions.password_fingerprint: what a process remembers is what Django would say."""

import sys
from collections import Counter

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import make_password
from django.utils.crypto import salted_hmac

from authx.sessions import password_fingerprint
from authx.sessions.password_fingerprint import fingerprint, fingerprint_of, has_fingerprint

User = get_user_model()
SECRET = "another secret, of which no fallback knows anything at all"


class Branded(User):
    """A site's own, whose sessions end with more than a password."""

    class Meta:
        proxy = True
        app_label = "tests"

    brand = "red"

    def get_session_auth_hash(self):
        return super().get_session_auth_hash() + self.brand


class Salted(User):
    """Another, which has only the inner method of its own."""

    class Meta:
        proxy = True
        app_label = "tests"

    brand = "red"

    def _get_session_auth_hash(self, secret=None):
        return super()._get_session_auth_hash(secret) + self.brand


@pytest.fixture(autouse=True)
def nothing_known():
    password_fingerprint._known.clear()
    yield
    password_fingerprint._known.clear()


def hashed(act):
    """How often ``act`` asked Django for a hash, and what it returned."""
    found = Counter()

    def note(frame, event, argument):
        found[event == "call" and frame.f_code is salted_hmac.__code__] += 1

    sys.setprofile(note)
    try:
        answer = act()
    finally:
        sys.setprofile(None)
    return found[True], answer


def test_it_is_worked_out_once_for_a_password():
    user = User(password=make_password("secret"))
    wanted = fingerprint_of(user.get_session_auth_hash())
    assert hashed(lambda: fingerprint(user)) == (1, wanted)
    assert hashed(lambda: fingerprint(user)) == (0, wanted)
    assert hashed(lambda: fingerprint(User(password=user.password))) == (0, wanted)


def test_another_password_has_another():
    user = User(password=make_password("secret"))
    before = fingerprint(user)
    user.set_password("another")
    assert fingerprint(user) == fingerprint_of(user.get_session_auth_hash()) != before
    assert not has_fingerprint(user, before)


def test_so_has_another_secret_key_and_a_fallback_is_believed(settings):
    user = User(password=make_password("secret"))
    old, before = settings.SECRET_KEY, fingerprint(user)
    settings.SECRET_KEY = SECRET
    assert fingerprint(user) == fingerprint_of(user.get_session_auth_hash()) != before
    assert not has_fingerprint(user, before)
    settings.SECRET_KEY_FALLBACKS = [old]
    assert has_fingerprint(user, before)


@pytest.mark.parametrize("kind", [Branded, Salted])
def test_what_a_site_adds_to_the_hash_is_asked_each_time(kind):
    user = kind(password=make_password("secret"))
    before = fingerprint(user)
    user.brand = "blue"
    assert fingerprint(user) == fingerprint_of(user.get_session_auth_hash()) != before
    assert not password_fingerprint._known


def test_so_is_what_a_site_puts_into_djangos_own_class(monkeypatch):
    ours = AbstractBaseUser.get_session_auth_hash
    monkeypatch.setattr(
        AbstractBaseUser, "get_session_auth_hash", lambda self: ours(self) + getattr(self, "first_name", "")
    )
    user = User(password=make_password("secret"), first_name="Ada")
    before = fingerprint(user)
    user.first_name = "Bob"
    assert fingerprint(user) == fingerprint_of(user.get_session_auth_hash()) != before


def test_a_user_without_a_password_has_one_too():
    user = User(password=None)
    assert fingerprint(user) == fingerprint(user) == fingerprint_of(user.get_session_auth_hash())


def test_so_many_are_remembered_and_no_password_or_hash_of_one_among_them(monkeypatch):
    monkeypatch.setattr(password_fingerprint, "MAX_KNOWN", 3)
    users = [User(password=make_password(f"secret {number}")) for number in range(5)]
    wanted = [fingerprint(user) for user in users]
    assert list(password_fingerprint._known.values()) == wanted[2:]
    kept = repr(password_fingerprint._known)
    assert not any(user.password in kept or user.get_session_auth_hash() in kept for user in users)
    assert [fingerprint(user) for user in users] == wanted
