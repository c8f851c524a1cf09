"""Serializers: the JSON that the API reads and writes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Any, ClassVar
from uuid import UUID

from django.contrib.auth.forms import UsernameField
from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from rest_framework import ISO_8601, serializers

from authx.conf import conf
from authx.core.device import MAX_ID_LENGTH, MAX_NAME_LENGTH
from authx.core.login_proof import MAX_LENGTH
from authx.core.user_model import username_of
from authx.logins.choosing import Offer
from authx.models import DeviceSession

#: More sessions than anybody will end at one login.
MAX_CHOSEN = 1000


class BodySerializer(serializers.Serializer):
    """A request's body; ``null`` in an optional field is the same as leaving the field out."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, Mapping):
            optional = {name for name, field in self.fields.items() if not field.required}
            given = {name: data[name] for name in data if not (name in optional and data[name] is None)}
            data = given if len(given) < len(data) else data
        return super().to_internal_value(data)


class DeviceSerializer(BodySerializer):
    """A client's description of its device; ``Device`` validates the values."""

    id = serializers.CharField(required=False, allow_blank=True, max_length=MAX_ID_LENGTH)
    name = serializers.CharField(required=False, allow_blank=True, max_length=512)
    type = serializers.CharField(required=False, allow_blank=True, max_length=32)


class EntrySerializer(BodySerializer):
    """What every body of ``login/`` may hold beside what proves who it is."""

    device = DeviceSerializer(required=False)
    # A message without what was sent: JSON may hold text that no response can (RFC 8259 §8.2).
    transport = serializers.ChoiceField(
        ["body", "cookie"], default="body", error_messages={"invalid_choice": _("Must be body or cookie.")}
    )
    remember = serializers.BooleanField(default=True)


class LoginSerializer(EntrySerializer):
    """The body of ``login/`` with a password."""

    username = serializers.CharField(max_length=254, trim_whitespace=False)
    password = serializers.CharField(max_length=4096, trim_whitespace=False)

    def validate_username(self, name: str) -> str:
        """Return the name as Django's login forms look it up: stripped, and in one Unicode form (NFKC)."""
        return str(UsernameField().to_python(name))


class SidsField(serializers.ListField):
    """One session's id, or a list of them."""

    child = serializers.UUIDField()

    def to_internal_value(self, data: Any) -> list[UUID]:
        found: list[UUID] = super().to_internal_value([data] if isinstance(data, str) else data)
        return found


class ProofLoginSerializer(EntrySerializer):
    """The body of ``login/`` with a login proof, and the sessions to end for it."""

    proof = serializers.CharField(max_length=MAX_LENGTH, trim_whitespace=False)
    end = SidsField(allow_empty=False, max_length=MAX_CHOSEN)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse a body that proves twice who it is: what is not looked at must not be sent."""
        both = [name for name in ("username", "password") if self.initial_data.get(name) is not None]
        if both:
            text = gettext("A login proof stands in place of name and password.")
            raise serializers.ValidationError({name: [text] for name in both})
        return attrs


def offer_body(offered: Offer) -> dict[str, Any]:
    """Return what ``session_limit`` adds where the user may choose; ``must_end`` only if several."""
    sessions = [
        {
            "id": str(session.pk),
            "label": str(session),
            "type": session.device_type,
            "last_seen_at": ISODateTimeField().to_representation(session.last_seen_at),
        }
        for session in offered.sessions
    ]
    body = {"sessions": sessions, "proof": offered.proof}
    return body | {"must_end": offered.must_end} if offered.must_end > 1 else body


class PasswordSerializer(serializers.Serializer):
    """The body of ``reauthenticate/``."""

    password = serializers.CharField(max_length=4096, trim_whitespace=False)


class NameSerializer(serializers.Serializer):
    """The body of a ``PATCH``: the device's new name."""

    name = serializers.CharField(allow_blank=True, max_length=MAX_NAME_LENGTH)


class KickSerializer(BodySerializer):
    """The body of a kick: the reason, for the audit trail."""

    reason = serializers.CharField(required=False, allow_blank=True, max_length=255, default="")


class ISODateTimeField(serializers.DateTimeField):
    """A time as the contract writes it, whatever DATETIME_FORMAT the site has for its own API (RFC 3339)."""

    format = ISO_8601


class SessionSerializer(serializers.ModelSerializer):
    """A device session as its user sees it; ``context["current"]`` is the sid of the current one."""

    serializer_field_mapping: ClassVar = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.DateTimeField: ISODateTimeField,
    }

    current = serializers.SerializerMethodField()
    #: In UTC on every site, so that an unknown one is always written ``1970-01-01T00:00:00Z``.
    auth_time = ISODateTimeField(default_timezone=UTC)
    device = serializers.SerializerMethodField()

    class Meta:
        model = DeviceSession
        fields = [
            "id",
            "current",
            "device",
            "ip",
            "country",
            "created_at",
            "last_seen_at",
            "auth_time",
            "expires_at",
        ]
        read_only_fields = fields

    def get_current(self, session: DeviceSession) -> bool:
        return bool(session.pk == self.context.get("current"))

    def get_device(self, session: DeviceSession) -> dict[str, Any]:
        return {
            "id": session.device_id,
            "name": session.device_name,
            "type": session.device_type,
            "label": session.label,
        }


class UnconfirmedSessionSerializer(SessionSerializer):
    """A session that nobody has confirmed yet.

    ``context["confirmable"]`` has the sids of those that the session that asks may confirm.
    """

    may_confirm = serializers.SerializerMethodField()

    class Meta(SessionSerializer.Meta):
        fields = [*SessionSerializer.Meta.fields, "may_confirm"]
        read_only_fields = fields

    def get_may_confirm(self, session: DeviceSession) -> bool:
        return session.pk in self.context["confirmable"]


def client_body(session: DeviceSession, names: Mapping[str, str]) -> dict[str, str]:
    """Return what is shown of the client whose session it is; ``names`` are of clients, by their ids."""
    return {"id": session.client_id, "name": names.get(session.client_id, session.label)}


class ConnectedAppSerializer(SessionSerializer):
    """A session in which a client acts for its user; ``context["names"]`` has the names of clients."""

    client = serializers.SerializerMethodField()
    scope = serializers.SerializerMethodField()
    resources = serializers.SerializerMethodField()

    class Meta(SessionSerializer.Meta):
        fields = [*SessionSerializer.Meta.fields, "client", "scope", "resources"]
        read_only_fields = fields

    def get_client(self, session: DeviceSession) -> dict[str, str]:
        return client_body(session, self.context["names"])

    def get_scope(self, session: DeviceSession) -> list[str]:
        return session.scope.split()

    def get_resources(self, session: DeviceSession) -> list[str]:
        return list(session.audience or ())


class StaffSessionSerializer(SessionSerializer):
    """A device session as staff see it: also whose it is, and how it ended.

    ``context["names"]`` has the names of clients.
    """

    user_id = serializers.CharField(source="subject")
    username = serializers.SerializerMethodField()
    ended_at = serializers.SerializerMethodField()
    end_reason = serializers.SerializerMethodField()

    class Meta(SessionSerializer.Meta):
        fields = [*SessionSerializer.Meta.fields, "user_id", "username", "ended_at", "end_reason"]
        read_only_fields = fields

    def to_representation(self, instance: DeviceSession) -> dict[str, Any]:
        """Add ``user_pk``, which ``staff/users/<pk>/kick/`` takes, where ``user_id`` is another value.

        And ``client`` where it is a client's session.
        """
        shown: dict[str, Any] = super().to_representation(instance)
        if conf.SUBJECT_FIELD is not None:
            shown["user_pk"] = None if instance.user_id is None else str(instance.user_id)
        if instance.client_id:
            shown["client"] = client_body(instance, self.context["names"])
        return shown

    def get_username(self, session: DeviceSession) -> str | None:
        return username_of(session.user) if session.user is not None else None

    def get_ended_at(self, session: DeviceSession) -> str | None:
        end = session.recorded_end()
        return ISODateTimeField().to_representation(end.at) if end else None

    def get_end_reason(self, session: DeviceSession) -> str:
        end = session.recorded_end()
        return end.reason if end else ""
