"""The public keys of a client, as its registration has them (RFC 7517 §5)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from authx.core.algorithms import IMPLEMENTATIONS
from authx.core.jws import MAX_KID_LENGTH
from authx.core.keys import Key
from authx.core.sentences import Sentence
from authx.core.sentences import sentence as _
from authx.errors import KeyInvalid

MAX_KEYS: Final = 20
#: The algorithms that a client may sign with; each is asymmetric.
ALGORITHMS: Final = tuple(IMPLEMENTATIONS)


def key_for(jwk: Mapping[str, Any], alg: str) -> Key:
    """Return the public key to check a signature by ``alg`` with; a JWK need not name one (RFC 7517 §4.4).

    Raises:
        KeyInvalid: it is for another algorithm, or no public key that is strong enough.
    """
    if jwk.get("alg", alg) != alg:
        raise KeyInvalid(_("the key is for another algorithm"))
    return Key.from_jwk({**jwk, "alg": alg})


def find_jwk(jwks: Mapping[str, Any], kid: str | None) -> Mapping[str, Any] | None:
    """Return the one key with this ``kid``, or the only key there is where ``kid`` is None; else None."""
    keys = jwks.get("keys")
    found = [key for key in keys if isinstance(key, Mapping)] if isinstance(keys, list | tuple) else []
    if kid is not None:
        found = [key for key in found if key.get("kid") == kid]
    return found[0] if len(found) == 1 else None


def jwks_problems(jwks: Mapping[str, Any]) -> Iterator[Sentence]:
    """Find what keeps a JWK set from being registered, each as half a sentence."""
    keys = jwks.get("keys") if isinstance(jwks, Mapping) else None
    if not isinstance(keys, list | tuple) or not 0 < len(keys) <= MAX_KEYS:
        yield _('must be a JWK set of 1 to %(most)d keys: {"keys": [...]}', most=MAX_KEYS)
        return
    kids = set()
    for number, jwk in enumerate(keys, 1):
        kid = jwk.get("kid") if isinstance(jwk, Mapping) else None
        if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID_LENGTH:
            yield _(
                "key %(number)d needs a kid of 1 to %(most)d characters", number=number, most=MAX_KID_LENGTH
            )
            continue
        if kid in kids:
            yield _("key %(number)d has the kid of another", number=number)
        kids.add(kid)
        if complaint := _complaint(jwk):
            yield _("key %(number)d cannot be used: %(why)s", number=number, why=complaint)


def _complaint(jwk: Mapping[str, Any]) -> Sentence:
    """Return why no algorithm of ours can use the key; "" if one can."""
    complaints: list[Sentence] = []
    for alg in [jwk["alg"]] if "alg" in jwk else _usual(jwk):
        try:
            key_for(jwk, alg)
        except KeyInvalid as error:
            complaints.append(error.args[0])
        else:
            return _("")
    return complaints[0] if complaints else _("it is for none of %(names)s", names=", ".join(ALGORITHMS))


def _usual(jwk: Mapping[str, Any]) -> list[str]:
    """Return the algorithm to try a key of this type with, which names none."""
    by_type = {"EC": "ES256", "RSA": "RS256", "OKP": "EdDSA"}
    alg = by_type.get(str(jwk.get("kty")))
    return [] if alg is None else [alg]
