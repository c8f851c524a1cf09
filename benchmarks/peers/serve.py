"""One contestant's site as ``wsgi`` and ``asgi``: what a server of its own imports.

Who and where stands in the environment, for a server starts its workers itself.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict

from benchmarks.peers.contestants import BY_NAME, Contestant, Place
from benchmarks.peers.setup import configure

VARIABLE = "AUTHX_BENCHMARK"


def environment(contestant: Contestant, place: Place) -> dict[str, str]:
    """What the server's process must find in its environment."""
    return {VARIABLE: json.dumps({"name": contestant.name, "place": asdict(place)})}


if VARIABLE in os.environ:
    told = json.loads(os.environ[VARIABLE])
    configure(BY_NAME[told["name"]], Place(**told["place"]))
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application

    wsgi, asgi = get_wsgi_application(), get_asgi_application()
