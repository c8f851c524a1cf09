"""The JSON of our routes, with types and names for clients that are generated."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field, extend_schema_serializer
from rest_framework import serializers

from authx.api import serializers as ours
from authx.contrib.spectacular.components import reference

named: Any = extend_schema_serializer


@extend_schema_field(reference("AuthxTransport"))
class Transport(serializers.CharField):
    """Where the refresh token goes: into the body, which is the default, or into a cookie."""


@extend_schema_field({"anyOf": [reference("AuthxEndReason"), {"type": "string", "maxLength": 0}]})
class EndReason(serializers.CharField):
    """Why a session ended; empty while it lives."""


@named(component_name="AuthxClaimedDevice")
class ClaimedDevice(ours.DeviceSerializer):
    """What a client says of its device."""


@named(component_name="AuthxPasswordLogin")
class PasswordLogin(ours.LoginSerializer):
    """A login by name and password."""

    device = ClaimedDevice(required=False)
    transport: Any = Transport(required=False)


@named(component_name="AuthxProofLogin")
class ProofLogin(ours.ProofLoginSerializer):
    """A login by the proof of an answer ``session_limit``."""

    device = ClaimedDevice(required=False)
    transport: Any = Transport(required=False)


@named(component_name="AuthxTokens")
class Tokens(serializers.Serializer[Any]):
    """What a login is given."""

    access_token = serializers.CharField()
    token_type = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Seconds.")
    refresh_token = serializers.CharField(required=False, help_text="None where a cookie carries it.")
    refresh_expires_in = serializers.IntegerField(help_text="Seconds.")
    session_id = serializers.UUIDField()
    user_id = serializers.CharField()


@named(component_name="AuthxOfferedSession")
class OfferedSession(serializers.Serializer[Any]):
    """A session that may be ended for a login."""

    id = serializers.UUIDField()
    label: Any = serializers.CharField()
    type = serializers.CharField()
    last_seen_at = serializers.DateTimeField()


@named(component_name="AuthxSessionLimit")
class SessionLimit(serializers.Serializer[Any]):
    """A full limit of sessions; with the sessions and a proof where the user may choose."""

    detail = serializers.CharField()
    code = serializers.CharField()
    sessions = OfferedSession(many=True, required=False)
    proof = serializers.CharField(required=False)
    must_end = serializers.IntegerField(required=False, help_text="How many have to end, where several do.")


@named(component_name="AuthxRefresh")
class Refresh(serializers.Serializer[Any]):
    """The refresh token; none where the cookie carries it."""

    refresh_token = serializers.CharField(required=False)


@named(component_name="AuthxPassword")
class Password(ours.PasswordSerializer):
    """The password once more."""


@named(component_name="AuthxName")
class Name(ours.NameSerializer):
    """A new name for the device."""


@named(component_name="AuthxKick")
class Kick(ours.KickSerializer):
    """Why somebody is kicked out, for the audit trail."""


@named(component_name="AuthxEnded")
class Ended(serializers.Serializer[Any]):
    """How many sessions have been ended."""

    ended = serializers.IntegerField()


@named(component_name="AuthxTicket")
class Ticket(serializers.Serializer[Any]):
    """A ticket that opens one socket."""

    ticket = serializers.CharField()
    expires_in = serializers.IntegerField(help_text="Seconds.")
    token_expires_in = serializers.IntegerField(help_text="Seconds until the access token expires.")


@named(component_name="AuthxDevice")
class Device(serializers.Serializer[Any]):
    """What is known of a session's device."""

    id = serializers.CharField()
    name = serializers.CharField()
    type = serializers.CharField()
    label: Any = serializers.CharField(help_text="A name to show.")


@named(component_name="AuthxClientName")
class ClientName(serializers.Serializer[Any]):
    """The client whose session it is."""

    id = serializers.CharField()
    name = serializers.CharField()


@named(component_name="AuthxSession")
class Session(ours.SessionSerializer):
    """One login on one device."""

    device: Any = Device()


@named(component_name="AuthxUnconfirmedSession")
class UnconfirmedSession(ours.UnconfirmedSessionSerializer):
    """A session from a new device, which nobody has confirmed yet."""

    device: Any = Device()
    may_confirm: Any = serializers.BooleanField(help_text="Whether the session that asks may confirm it.")


@named(component_name="AuthxConnectedApp")
class ConnectedApp(ours.ConnectedAppSerializer):
    """A session in which a client acts for its user."""

    device: Any = Device()
    client: Any = ClientName()


@named(component_name="AuthxStaffSession")
class StaffSession(ours.StaffSessionSerializer):
    """A session as staff see it."""

    device: Any = Device()
    client: Any = ClientName(required=False)
    user_pk = serializers.CharField(
        required=False, allow_null=True, help_text="The key, where `user_id` is another value."
    )
    ended_at: Any = serializers.DateTimeField(allow_null=True)
    end_reason: Any = EndReason()

    class Meta(ours.StaffSessionSerializer.Meta):
        fields = [*ours.StaffSessionSerializer.Meta.fields, "client", "user_pk"]
        read_only_fields = fields
