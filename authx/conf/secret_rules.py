"""Rules of the settings that hold secrets, or name the files that hold them; see ``rules``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from authx.conf import secret_files


def credentials(value: Any) -> str | None:
    if isinstance(value, dict):
        return _key_complaint(value)
    parts = [value] if isinstance(value, str) and secret_files.is_file(value) else value
    named = isinstance(parts, list | tuple) and len(parts) == (2 if parts is value else 1)
    if named and all(isinstance(part, str) and part for part in parts):
        return _file_complaint(parts)
    return (
        'must be a pair of texts, client id and secret, or "file:/path" of a file that holds both, or a dict '
        "of client_id and key"
    )


def _key_complaint(value: dict[Any, Any]) -> str | None:
    if extra := set(value) - {"client_id", "key", "alg"}:
        return f"has unknown members: {', '.join(sorted(map(str, extra)))}"
    texts = [value.get("client_id"), value.get("key"), value.get("alg", "ES256")]
    if not all(isinstance(text, str) and text for text in texts):
        return "must be a dict of texts: client_id, key (a private key, PEM or file:/path) and perhaps alg"
    return _file_complaint(texts)


def _file_complaint(values: Iterable[Any]) -> str | None:
    files = (value for value in values if secret_files.is_file(value))
    found = next(filter(None, map(secret_files.complaint, files)), None)
    return found and f"has an entry {found}"


def signing_keys(value: Any) -> str | None:
    if not isinstance(value, list | tuple):
        return "must be a list of PEM texts, paths, or dicts with key, alg and password"
    for entry in value:
        if isinstance(entry, dict):
            if extra := set(entry) - {"key", "alg", "password"}:
                return f"has an entry with unknown members: {', '.join(sorted(map(str, extra)))}"
            if not entry.get("key"):
                return "has an entry without its key"
        elif not entry or not (isinstance(entry, str | bytes) or hasattr(entry, "__fspath__")):
            return "must list PEM texts, paths, or dicts with key, alg and password"
        members = entry if isinstance(entry, dict) else {"key": entry}
        if found := _file_complaint(members.get(name) for name in ("key", "password")):
            return found
    return None
