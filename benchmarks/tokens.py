"""What a token costs that a process has not seen before: all of the check, beside the bare signature.

    pip install -e . -r benchmarks/requirements.txt
    python -m benchmarks.tokens [--rounds 5] [--tokens 4000] [--quick]

In one process, a block at a time in turn, with tokens of as many sessions: ``read_claims`` (what a request
does before it asks whether the session is live), the bare verification of an ES256 signature by cryptography,
PyJWT and simplejwt. Processor time: nothing of it waits.
"""

from __future__ import annotations

import argparse
import time
from base64 import urlsafe_b64decode
from collections.abc import Callable, Sequence
from random import Random
from statistics import median
from typing import Any

from benchmarks.peers.contestants import (
    BEARER,
    BY_NAME,
    SIMPLEJWT_APPS,
    Contestant,
    Place,
    authx,
    simplejwt_es256,
)
from benchmarks.peers.place import new_keys
from benchmarks.peers.setup import configure
from benchmarks.peers.tables import spread, surroundings, table, verdict

BLOCK = 50
#: Microseconds, at most; the bare signature took 65 where this was laid down.
MOST = 80
OURS, BARE = "authx: `read_claims`", "the bare ES256 signature"

Reader = Callable[[Any], Any]


def settings(place: Place) -> dict[str, Any]:
    """Both sign by the same key."""
    return {**authx("database", 0)(place), **simplejwt_es256(place), "AUTHX_SIGNING_KEYS": [place.es256[0]]}


SITE = Contestant("a site with tokens of both", "", BEARER, ("authx", *SIMPLEJWT_APPS), settings=settings)
BY_NAME[SITE.name] = SITE


def our_tokens(number: int) -> list[str]:
    from uuid import uuid4

    from django.utils import timezone

    from authx.models import DeviceSession
    from authx.sessions.credentials import access_token_for
    from authx.sessions.opening import new_life

    now = timezone.now()
    life = new_life(now)
    sessions = [DeviceSession(id=uuid4(), subject=str(one), auth_time=now, **life) for one in range(number)]
    return [access_token_for(session, now=now)[1] for session in sessions]


def bare(tokens: Sequence[str], public: Any) -> tuple[Reader, list[Any]]:
    """Verifies the signature alone; what it is given has been taken apart already."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
    from cryptography.hazmat.primitives.hashes import SHA256

    algorithm = ec.ECDSA(SHA256())

    def parts(token: str) -> tuple[bytes, bytes]:
        signed, _, signature = token.rpartition(".")
        raw = urlsafe_b64decode(signature + "==")
        halves = int.from_bytes(raw[:32]), int.from_bytes(raw[32:])
        return encode_dss_signature(*halves), signed.encode()

    return lambda one: public.verify(*one, algorithm), [parts(token) for token in tokens]


def readers(tokens: Sequence[str], pem: str) -> dict[str, tuple[Reader, Sequence[Any]]]:
    import jwt
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    from authx.conf import conf
    from authx.gate.verify import read_claims

    public = load_pem_public_key(pem.encode())
    rules = {"algorithms": ["ES256"], "audience": conf.AUDIENCE, "issuer": conf.ISSUER}
    return {
        BARE: bare(tokens, public),
        OURS: (read_claims, tokens),
        "PyJWT: `decode`": (lambda token: jwt.decode(token, public, **rules), tokens),
        **_simplejwt(len(tokens)),
    }


def _simplejwt(number: int) -> dict[str, tuple[Reader, Sequence[Any]]]:
    from django.contrib.auth import get_user_model
    from rest_framework_simplejwt.tokens import AccessToken

    user = get_user_model()(pk=1, username="ada")
    return {
        "simplejwt (ES256): `AccessToken`": (
            AccessToken,
            [str(AccessToken.for_user(user)) for _ in range(number)],
        )
    }


def measure(pem: str, tokens: int, runs: int) -> dict[str, list[float]]:
    """Microseconds of processor time of one, in each run; every token is read once."""
    found: dict[str, list[float]] = {}
    for run in range(runs):
        taking = readers(our_tokens(tokens), pem)
        took: dict[str, list[float]] = {name: [] for name in taking}
        for begin in range(0, tokens, BLOCK):
            for name in Random(run * tokens + begin).sample(list(taking), len(taking)):
                read, given = taking[name]
                took[name].append(_block(read, given[begin : begin + BLOCK]))
        for name, blocks in took.items():
            if run:  # the first is for first uses
                found.setdefault(name, []).append(median(blocks))
    return found


def _block(read: Reader, given: Sequence[Any]) -> float:
    start = time.process_time_ns()
    for one in given:
        read(one)
    return (time.process_time_ns() - start) / len(given) / 1000


def report(found: dict[str, list[float]]) -> str:
    lines = []
    for name, micro in found.items():
        multiples = [one / least for one, least in zip(micro, found[BARE], strict=True)]
        lines.append((name, spread(micro, 1), spread(multiples)))
    what = f"{OURS} of a token not seen before: at most {MOST} µs"
    cells = what, spread(found[OURS], 1), verdict(median(found[OURS]) <= MOST)
    target = table(("target", "this run", ""), [cells])
    return table(("", "CPU µs", "times the signature"), lines) + "\n\n" + target


def main() -> None:
    parser = argparse.ArgumentParser(description="The cost of a token not seen before.")
    parser.add_argument("--rounds", type=int, default=5, help="runs, of each of which a multiple is taken")
    parser.add_argument("--tokens", type=int, default=4000, help="of each run")
    parser.add_argument("--quick", action="store_true", help="two runs of 1,000 tokens; some seconds")
    asked = parser.parse_args()
    if asked.quick:
        asked.rounds, asked.tokens = 2, 1000
    place = Place({}, "", **new_keys())
    configure(SITE, place)
    print(report(measure(place.es256[1], asked.tokens, asked.rounds + 1)))
    print(f"\n{asked.rounds} runs of {asked.tokens} tokens. {surroundings('no database')}")


if __name__ == "__main__":
    main()
