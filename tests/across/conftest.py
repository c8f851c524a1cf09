"""Servers that the tests of outages own, and the site in front of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A PostgreSQL server of its own, with a database."""
    from tests.faults import PostgresCluster  # not before Django is set up

    with PostgresCluster() as cluster:
        cluster.create_database()
        yield cluster


@pytest.fixture(scope="module")
def site(cluster: Any) -> Iterator[Any]:
    """A site on that server, whose workers are processes of their own."""
    from tests.faults import Site

    with Site(cluster) as site:
        yield site


@pytest.fixture
def redis() -> Iterator[Any]:
    """A Redis server of its own."""
    from tests.faults import RedisServer

    with RedisServer() as redis:
        yield redis
