"""How a user authenticated: the values of ``amr`` (RFC 8176 §2), and which of them add up to ``mfa``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+-]{0,31}")

#: A passkey or security key, used by somebody present. Without attestation it is unknown whether hardware
#: holds the key, and many keys are synced, so this never includes ``hwk``.
PASSKEY = ("swk", "user")

#: The methods of other apps' backends and proofs. A backend is named by its dotted path, a proof by its app's
#: name for it; a name that is not listed has the methods of the longest listed name that it begins with.
BUILT_IN: Mapping[str, tuple[str, ...]] = {
    "allauth.account.auth_backends.AuthenticationBackend": ("pwd",),
    "allauth.password": ("pwd",),
    "allauth.code": ("otp",),
    "allauth.code.phone": ("sms",),
    "allauth.mfa.totp": ("otp",),
    "allauth.mfa.recovery_codes": ("otp",),
    "allauth.mfa.webauthn": PASSKEY,
    # Only here does allauth demand that the authenticator asks for a PIN or a fingerprint.
    "allauth.mfa.webauthn.passwordless": (*PASSKEY, "mfa"),
    "django_otp": ("otp",),
    "django_otp.otp_twilio": ("sms",),
    "django_otp.otp_webauthn": PASSKEY,
    "django_otp.phonenumber": ("sms",),
    "django_otp.phonenumber.phonedevice.call": ("tel",),
    "django_otp.two_factor_webauthn": PASSKEY,
    "django_otp.django_otp_webauthn": PASSKEY,
    "django_otp_webauthn.backends.WebAuthnBackend": (*PASSKEY, "mfa"),
    "django_fido.backends.Fido2AuthenticationBackend": PASSKEY,
    "django_fido.backends.Fido2PasswordlessAuthenticationBackend": PASSKEY,
    "django_fido.backends.Fido2GeneralAuthenticationBackend": ("pwd", *PASSKEY),
    "mfa2.totp": ("otp",),
    "mfa2.email": ("otp",),
    "mfa2.recovery": ("otp",),
    "mfa2.fido2": PASSKEY,
    "mfa2.u2f": PASSKEY,
    "passkeys.passkey": PASSKEY,
}

#: The first part of a proof's name; all other names are dotted paths of backends.
APPS = frozenset({"allauth", "django_otp", "mfa2", "passkeys"})

#: Something the user knows, has or is: two of these are two factors.
_FACTORS = (
    frozenset({"pwd", "pin", "kba"}),
    frozenset({"otp", "sms", "tel", "hwk", "swk", "pop", "sc", "mca"}),
    frozenset({"face", "fpt", "iris", "retina", "vbm"}),
)


def is_word(value: object) -> bool:
    """Return whether ``value`` may be a member of ``amr``."""
    return isinstance(value, str) and _WORD.fullmatch(value) is not None


def combined(*proofs: Sequence[str]) -> tuple[str, ...]:
    """Return the words of all proofs, once each; ``mfa`` comes last, if given or if there are two factors."""
    words = dict.fromkeys(word for proof in proofs for word in proof)
    factors = sum(not factor.isdisjoint(words) for factor in _FACTORS)
    if words.pop("mfa", "") is None or factors > 1:
        words["mfa"] = None
    return tuple(words)


def listed(name: str, table: Mapping[str, Sequence[str]]) -> tuple[str, ...] | None:
    """Return the words for exactly this name in the site's or else the built-in table; None if in neither."""
    found = table.get(name, BUILT_IN.get(name))
    return None if found is None else tuple(found)


def methods_named(name: str, table: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the words for a proof such as ``allauth.mfa.totp``: of its name, else of its longest prefix."""
    while name:
        if (found := listed(name, table)) is not None:
            return found
        name = name.rpartition(".")[0]
    return ()
