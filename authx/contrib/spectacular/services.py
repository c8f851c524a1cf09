"""The JSON of the routes for services and apps, which prove who they are in a header or in the form."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from authx.core.client_assertion import ASSERTION_TYPE

named: Any = extend_schema_serializer

#: Pairs of a session's id and a reason; marks have a number and perhaps a session beside.
_ROWS = {"type": "array", "items": {"type": "array", "items": {}}}


@named(component_name="AuthxClientProof")
class ClientProof(serializers.Serializer[Any]):
    """What proves a client that sends no ``Authorization`` header."""

    client_id = serializers.CharField(required=False)
    client_secret = serializers.CharField(required=False)
    client_assertion = serializers.CharField(required=False, help_text="A JWT that the client has signed.")
    client_assertion_type = serializers.CharField(required=False, help_text=f"`{ASSERTION_TYPE}`.")


@named(component_name="AuthxTokenOfClient")
class TokenOfClient(ClientProof):
    """The token that a client asks about, or gives back."""

    token = serializers.CharField()
    token_type_hint = serializers.CharField(required=False, help_text="Not needed.")


@extend_schema_field({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]})
class Audience(serializers.JSONField):
    """One name, or several."""


@named(component_name="AuthxIntrospection")
class Introspection(serializers.Serializer[Any]):
    """What a token says while it is good; for any other, ``active`` alone, which is false."""

    active = serializers.BooleanField()
    token_type = serializers.CharField(required=False)
    iss = serializers.CharField(required=False)
    sub = serializers.CharField(required=False)
    aud = Audience(required=False)
    client_id = serializers.CharField(required=False)
    scope = serializers.CharField(required=False)
    sid = serializers.CharField(required=False)
    jti = serializers.CharField(required=False)
    iat = serializers.IntegerField(required=False)
    nbf = serializers.IntegerField(required=False)
    exp = serializers.IntegerField(required=False)
    auth_time = serializers.IntegerField(required=False)


@named(component_name="AuthxFeedRequest")
class FeedRequest(ClientProof):
    """Where the feed is to go on, and who asks."""

    since = serializers.CharField(required=False, help_text="The `cursor` of the answer before.")


@extend_schema_field(_ROWS)
class Rows(serializers.JSONField):
    """Rows of a feed."""


@named(component_name="AuthxFeed")
class Feed(serializers.Serializer[Any]):
    """The recent endings, or those since a cursor."""

    endings = Rows(help_text="Pairs of a session's id and a reason.")
    not_before = Rows(help_text="Marks: a subject or null, a number, a reason, and perhaps a session's id.")
    withdrawn_keys = serializers.ListField(child=serializers.CharField())
    whole = serializers.BooleanField(help_text="It starts anew: forget what was known.")
    more = serializers.BooleanField(help_text="The next ones follow after this cursor.")
    cursor = serializers.CharField()
    keep = serializers.IntegerField(help_text="Seconds for which an ending matters.")
