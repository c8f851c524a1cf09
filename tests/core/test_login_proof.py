"""authx.core.login_proof: the text of a login proof, which nobody else can read or make."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from cryptography.fernet import Fernet, MultiFernet

from authx.core import strict_json
from authx.core.derivation import derive_secret, fernet
from authx.core.login_proof import MAX_LENGTH, LoginProof, read_login_proof, write_login_proof
from authx.errors import LoginProofInvalid

SECRETS = ("first-secret", "second-secret")
PROOF = LoginProof(
    user="7",
    database="default",
    fingerprint="f" * 64,
    holder="browser:abc",
    backend="django.contrib.auth.backends.ModelBackend",
    amr=("pwd", "otp"),
    by_password=True,
    not_before_number=3,
    expires_at=1_800_000_300,
)


def written(proof=PROOF, secrets=SECRETS):
    return write_login_proof(proof, secrets, now=1_800_000_000)


def test_what_was_written_is_read():
    assert read_login_proof(written(), SECRETS) == PROOF


def test_each_proof_has_a_nonce_of_its_own():
    one, other = (replace(PROOF, nonce=LoginProof(**_without_nonce()).nonce) for _ in range(2))
    assert one.nonce != other.nonce
    assert len(one.nonce) == 22


def _without_nonce():
    return {name: getattr(PROOF, name) for name in PROOF.__slots__ if name != "nonce"}


def test_a_key_that_became_a_fallback_still_reads():
    assert read_login_proof(written(secrets=("old",)), ("new", "old")) == PROOF
    with pytest.raises(LoginProofInvalid):
        read_login_proof(written(secrets=("old",)), ("new",))


@pytest.mark.parametrize("change", [{"newer": 1}, {"amr": None}, {"amr": ...}, {"holder": ...}], ids=str)
def test_one_of_a_release_with_other_fields_is_none(change):
    content = {name: getattr(PROOF, name) for name in PROOF.__slots__} | change
    text = strict_json.dumps({name: value for name, value in content.items() if value is not ...})
    with pytest.raises(LoginProofInvalid):
        read_login_proof(fernet(SECRETS, "login-proof").encrypt(text).decode(), SECRETS)


def test_nothing_that_it_says_can_be_read_from_outside():
    raw = base64.urlsafe_b64decode(written())
    assert not any(part.encode() in raw for part in ("ModelBackend", "browser:abc", "fingerprint"))


def test_it_shows_neither_its_holder_nor_the_fingerprint():
    assert "browser:abc" not in repr(PROOF)
    assert "ffff" not in repr(PROOF)


@pytest.mark.parametrize("purpose", ["cookie", "refresh-token", "device", "adoption"])
def test_a_key_for_another_purpose_makes_none(purpose):
    content = MultiFernet([Fernet(base64.urlsafe_b64encode(derive_secret("first-secret", "login-proof")))])
    forged = Fernet(base64.urlsafe_b64encode(derive_secret("first-secret", purpose)))
    with pytest.raises(LoginProofInvalid):
        read_login_proof(forged.encrypt(content.decrypt(written())).decode(), SECRETS)


def test_every_changed_character_makes_it_worthless():
    text = written()
    for at in range(0, len(text.rstrip("=")), 7):
        changed = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
        with pytest.raises(LoginProofInvalid):
            read_login_proof(changed, SECRETS)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: f"{text} ",
        lambda text: f"\n{text}",
        lambda text: text + "=",
        lambda text: text[:-1],
        lambda text: text[:10] + "!" + text[10:],
        lambda text: text.encode(),
        lambda text: "",
        lambda text: None,
        lambda text: 7,
        lambda text: [text],
        lambda text: "\udcff" + text,
        lambda text: "é" * 100,
        lambda text: "A" * (MAX_LENGTH + 1),
    ],
)
def test_there_is_one_spelling_and_anything_else_is_the_same_error(spoil):
    with pytest.raises(LoginProofInvalid):
        read_login_proof(spoil(written()), SECRETS)
