"""The services of a run: a database made and dropped, a Redis server of its own, fresh keys."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from benchmarks.peers.contestants import ALL, Contestant, Place
from benchmarks.peers.proxy import Proxy
from benchmarks.peers.setup import configure_everybody


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


def sqlite(folder: str) -> dict[str, Any]:
    pragmas = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
    options = {"transaction_mode": "IMMEDIATE", "init_command": pragmas, "timeout": 20}
    path = os.path.join(folder, "peers.sqlite3")
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": path, "OPTIONS": options, "TEST": {"NAME": path}}


def postgresql() -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "HOST": os.environ.get("PGHOST", "127.0.0.1"),
        "PORT": os.environ.get("PGPORT", ""),
        "USER": os.environ.get("PGUSER", "postgres"),
        "PASSWORD": os.environ.get("PGPASSWORD", ""),
        "TEST": {"NAME": f"authx_peers_{os.getpid()}"},
    }


def mariadb() -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.mysql",
        "NAME": "mysql",
        "HOST": os.environ.get("MYSQL_HOST", "127.0.0.1"),
        "PORT": os.environ.get("MYSQL_TCP_PORT", ""),
        "USER": os.environ.get("MYSQL_USER", "root"),
        "PASSWORD": os.environ.get("MYSQL_PWD", ""),
        "TEST": {"NAME": f"authx_peers_{os.getpid()}"},
    }


def through(proxy: Proxy, place: Place) -> Place:
    """The same, with the database behind a proxy that can read what is said."""
    database = {**place.database, "HOST": "127.0.0.1", "PORT": str(proxy.port)}
    options = dict(database.get("OPTIONS", {}))
    if "postgresql" in database["ENGINE"]:
        options["sslmode"] = "disable"
    return replace(place, database=database | {"OPTIONS": options})


def proxy_of(place: Place) -> Proxy:
    """A new proxy in front of the database."""
    is_postgres = "postgresql" in place.database["ENGINE"]
    port = place.database["PORT"] or (5432 if is_postgres else 3306)
    return Proxy(int(port), reads_postgres=is_postgres)


def private_pem(key: Any) -> str:
    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem.decode()


def new_keys() -> dict[str, Any]:
    es256 = ec.generate_private_key(ec.SECP256R1())
    public = es256.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    rs256 = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return {"es256": (private_pem(es256), public.decode()), "rs256": private_pem(rs256)}


@contextmanager
def redis_server() -> Iterator[str]:
    """The URL of a Redis of our own, so that its statistics are ours too; empty where none is installed."""
    if shutil.which("redis-server") is None:
        yield ""
        return
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait()


def wait_for(port: int, seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


@contextmanager
def a_place(database: str, contestants: Sequence[Contestant] = ALL) -> Iterator[Place]:
    """Everything a run needs, and this process as a Django with the tables of all who take part."""
    with tempfile.TemporaryDirectory() as folder, redis_server() as redis:
        servers = {"postgresql": postgresql, "mariadb": mariadb}
        wanted = sqlite(folder) if database == "sqlite" else servers[database]()
        keys = new_keys()
        configure_everybody(Place(wanted, redis, **keys), contestants)
        from django.db import connection
        from django.test.utils import setup_databases, teardown_databases

        made = setup_databases(verbosity=0, interactive=False)
        try:
            name = connection.settings_dict["NAME"]
            connection.close()
            yield Place(wanted | {"NAME": name, "CONN_MAX_AGE": None}, redis, **keys)
        finally:
            teardown_databases(made, verbosity=0)
