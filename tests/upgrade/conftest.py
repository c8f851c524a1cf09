"""A database as a release has left it, brought up to this version by ``migrate``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.color import no_style
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from authx.gate.keys import keyring
from tests.upgrade.recorded_site import SETTINGS

#: How long the upgrade took: longer than the grace of a refresh, shorter than a code lives.
AGE = timedelta(seconds=35)
RECORDS = sorted((Path(__file__).parent / "records").glob("*.json"))


@pytest.fixture(scope="module", params=RECORDS, ids=lambda path: path.stem)
def migrated(request, django_db_setup, django_db_blocker) -> Iterator[dict[str, Any]]:
    """The database at this version, with what a release's record holds; and that record.

    Its times lie as far back as if it had been made before ``AGE``.
    """
    found: dict[str, Any] = json.loads(request.param.read_text())
    made_at = datetime.fromisoformat(found["at"]["time"])
    record = {**found, "at": made_at, "tables": _read(found["tables"], timezone.now() - AGE - made_at)}
    with django_db_blocker.unblock():
        _take_down()
        executor = MigrationExecutor(connection)
        targets = [*record["migrations"].items()]
        executor.migrate(targets)
        _fill(executor.loader.project_state(targets).apps, record["tables"])
        call_command("migrate", verbosity=0)
        yield record
        call_command("flush", verbosity=0, interactive=False)


@pytest.fixture
def upgraded(migrated, db, settings) -> Iterator[dict[str, Any]]:
    """The site at this version; returns the record that its database was made of."""
    for name, value in SETTINGS.items():
        setattr(settings, name, value)
    keyring.keyset_of.cache_clear()
    yield migrated
    keyring.keyset_of.cache_clear()


def _read(value: Any, passed: Any) -> Any:
    """A value of the record, with all its times moved on."""
    if isinstance(value, list):
        return [_read(each, passed) for each in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"time"}:
        return datetime.fromisoformat(value["time"]) + passed
    if value.keys() == {"octets"}:
        return bytes.fromhex(value["octets"])
    return {name: _read(each, passed) for name, each in value.items()}


def _take_down() -> None:
    """Drop our tables, and forget that they were made: not every migration can be undone."""
    tables = {name for name in connection.introspection.table_names() if name.startswith("authx_")}
    with connection.constraint_checks_disabled(), connection.cursor() as cursor:
        for table in tables:
            cascade = " CASCADE" if connection.vendor == "postgresql" else ""
            cursor.execute(f"DROP TABLE {connection.ops.quote_name(table)}{cascade}")
    MigrationRecorder.Migration.objects.filter(app="authx").delete()


def _fill(apps: Any, tables: dict[str, list[dict[str, Any]]]) -> None:
    """Write the rows as they were, those that others point to first."""
    with transaction.atomic(), connection.constraint_checks_disabled():
        for label, rows in tables.items():
            model = apps.get_model(label)
            fields = {field.attname: field for field in model._meta.concrete_fields}
            model._base_manager.bulk_create(
                model(**{name: fields[name].to_python(value) for name, value in row.items()}) for row in rows
            )
        connection.check_constraints()
    models = [apps.get_model(label) for label in tables]
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), models):
            cursor.execute(statement)
