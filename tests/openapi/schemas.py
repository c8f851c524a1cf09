"""A site's schema, and whether an answer is what it says."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from django.urls import include, path
from drf_spectacular.drainage import GENERATOR_STATS, reset_generator_stats
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.settings import patched_settings
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator, FormatChecker

HOOKS = [
    "drf_spectacular.hooks.postprocess_schema_enums",
    "authx.contrib.spectacular.oauth.add_oauth_paths",
]
Schema = dict[str, Any]


def complaints() -> list[str]:
    """What drf-spectacular has complained of in the schema that was made last."""
    return [*GENERATOR_STATS._warn_cache, *GENERATOR_STATS._error_cache]


def schema_of(patterns: list[Any] | None = None, *, validate: bool = False, **settings: Any) -> Schema:
    """The schema, as a client reads it, without a complaint. To validate it takes a second."""
    reset_generator_stats()
    with GENERATOR_STATS.silence(), patched_settings({"OAS_VERSION": "3.1.0", **settings}):
        found = SchemaGenerator(patterns=patterns).get_schema(public=True)
    assert not complaints(), complaints()
    if validate:
        validate_schema(found)
    read: Schema = json.loads(OpenApiJsonRenderer().render(found, renderer_context={}))
    return read


def ours(prefix: str = "api/auth/") -> list[Any]:
    return [path(prefix, include("authx.api.urls"))]


def operations(schema: Schema) -> dict[tuple[str, str], Schema]:
    return {(where, how): it for where, item in schema["paths"].items() for how, it in item.items()}


def path_of(schema: Schema, url: str) -> str:
    """The path in the schema that a URL is of."""
    asked = url.partition("?")[0].strip("/").split("/")

    def fits(template: str) -> bool:
        parts = template.strip("/").split("/")
        same = [part == word or part.startswith("{") for part, word in zip(parts, asked, strict=False)]
        return len(parts) == len(asked) and all(same)

    return min(filter(fits, schema["paths"]), key=lambda template: template.count("{"))


def faults(schema: Schema, method: str, url: str, answer: Any) -> Iterable[str]:
    """What the schema does not say of an answer of Django's test client: status, header or body."""
    operation = schema["paths"][path_of(schema, url)][method.lower()]
    found = operation["responses"].get(str(answer.status_code))
    if found is None:
        return [f"{answer.status_code} is not documented"]
    content = found.get("content")
    if content is None:
        return ["a body where none is documented"] if answer.content else []
    media_type = answer["Content-Type"].partition(";")[0]
    if media_type not in content:
        return [f"{media_type} is not documented"]
    wanted = {**content[media_type]["schema"], "components": schema["components"]}
    errors = Draft202012Validator(wanted, format_checker=FormatChecker()).iter_errors(answer.json())
    return [f"{error.json_path}: {error.message}" for error in errors]
