"""The form by which staff register a client, or change what it is registered for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from django import forms
from django.contrib.admin.widgets import AdminTextInputWidget
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from authx.admin.client_fields import KeysField, Lines, code_area, code_input
from authx.admin.words import error_text
from authx.conf import conf
from authx.core.oauth_client import (
    AUTHORIZATION_CODE,
    CLIENT_CREDENTIALS,
    CLIENT_SECRET,
    REFRESH_TOKEN,
    TOKEN_EXCHANGE,
)
from authx.http.direction import isolated
from authx.issuer.client_registration import usable_grants
from authx.issuer.clients import ClientInvalid, clients
from authx.models import ServiceClient

_GRANTS: Final = (
    (AUTHORIZATION_CODE, _("Authorization code: users sign in to it")),
    (REFRESH_TOKEN, _("Refresh tokens: it stays signed in")),
    (CLIENT_CREDENTIALS, _("Client credentials: it acts for itself")),
    (TOKEN_EXCHANGE, _("Token exchange: it calls another service for the user it was called for")),
)

FIELDSETS: Final = (
    (None, {"fields": ("name", "auth_method", "scope")}),
    (
        _("Users sign in to it"),
        {
            "fields": ("redirect_uris", "resources", "trusted"),
            "description": _("For an app. Leave this empty for a service."),
        },
    ),
    (
        _("It receives tokens"),
        {
            "fields": ("audience", "may_manage_sessions"),
            "description": _(
                "For a service that is called with access tokens, and may ask whether they are good."
            ),
        },
    ),
    (
        _("It calls other services"),
        {"fields": ("may_call",), "description": _("With tokens of its own, or exchanged for a user's.")},
    ),
    (_("Keys"), {"fields": ("jwks", "jwks_uri"), "classes": ("collapse",)}),
    (
        _("Details"),
        {
            "fields": ("grant_types", "origins", "idle_lifetime", "session_lifetime"),
            "classes": ("collapse",),
        },
    ),
)


class ClientForm(forms.Form):
    """Everything that ``create_client`` takes; what is wrong with it is told at its field."""

    name = forms.CharField(
        label=_("Name"),
        max_length=100,
        widget=AdminTextInputWidget(attrs={"dir": "auto"}),
        help_text=_("Users read it when they are asked whether it may act for them."),
    )
    auth_method = forms.ChoiceField(
        label=_("Authentication"),
        choices=ServiceClient.AuthMethod.choices,
        required=False,
        initial=ServiceClient.AuthMethod.CLIENT_SECRET,
        help_text=_(
            "A mobile app or a page's script can keep no secret: choose a public client. A signed assertion"
            " needs the client's public keys, below."
        ),
    )
    redirect_uris = Lines(
        label=_("Redirect URIs"),
        help_text=_("One a line: where users are sent back to, compared character by character."),
    )
    scope = forms.CharField(
        label=_("Scope"),
        required=False,
        widget=code_input(),
        help_text=_("Scopes that it may have at most, with spaces between them."),
    )
    resources = Lines(label=_("Resources"), help_text=_("One a line: the APIs that its tokens may be for."))
    trusted = forms.BooleanField(
        label=_("Do not ask users for consent"),
        required=False,
        help_text=_("For apps of your own alone."),
    )
    audience = forms.CharField(
        label=_("Audience"),
        required=False,
        max_length=255,
        widget=code_input(),
    )
    may_manage_sessions = forms.BooleanField(
        label=_("It may end everybody's sessions"),
        required=False,
        help_text=_("By revoking a token of theirs. Others can end none but their own."),
    )
    may_call = forms.MultipleChoiceField(
        label=_("It may call"), required=False, widget=forms.CheckboxSelectMultiple
    )
    jwks = KeysField(
        label=_("Public keys"),
        required=False,
        widget=code_area(),
        help_text=_('A JWK set, such as {"keys": [{"kty": "EC", "kid": "2026", ...}]}.'),
    )
    jwks_uri = forms.CharField(
        label=_("Address of the public keys"),
        required=False,
        max_length=500,
        widget=code_input(),
        help_text=_("Instead of the keys: an https URL on the public internet, where they are fetched."),
    )
    grant_types = forms.MultipleChoiceField(
        label=_("Grant types"),
        required=False,
        choices=_GRANTS,
        widget=forms.CheckboxSelectMultiple,
        help_text=_("Leave all unchecked for those that it can use by the other fields."),
    )
    origins = Lines(
        label=_("Origins"),
        help_text=_(
            "One a line: whose scripts may read the token endpoint's answers, such as https://app.example."
        ),
    )
    idle_lifetime = forms.DurationField(
        label=_("Idle lifetime"),
        required=False,
        widget=code_input(),
        help_text=_(
            "How long its sessions may go unused, such as 7 00:00:00 for a week; empty: as logins do."
        ),
    )
    session_lifetime = forms.DurationField(
        label=_("Session lifetime"),
        required=False,
        widget=code_input(),
        help_text=_("How long its sessions last at most; empty: as logins do."),
    )

    def __init__(self, data: Any = None, *, client: ServiceClient | None = None) -> None:
        super().__init__(data, initial=None if client is None else _initial_of(client))
        self._fields["may_call"].choices = [(row.client_id, _named(row)) for row in _callable(client)]
        self._offer("scope", conf.SCOPES)
        self._offer("resources", conf.RESOURCES)
        self._fields["audience"].help_text = format_html(
            gettext(
                "Its own name in the tokens that it receives. <code>{}</code> for the site's own tokens: it"
                " may ask about those of every login."
            ),
            conf.AUDIENCE[0],
        )

    @property
    def _fields(self) -> dict[str, Any]:
        return self.fields

    def _offer(self, name: str, known: Iterable[str]) -> None:
        """Add to a field's help what the settings offer."""
        if names := format_html_join(" ", "<code>{}</code>", ((item,) for item in known)):
            field = self._fields[name]
            field.help_text = format_html("{} {} {}", field.help_text, _("The settings have:"), names)

    def clean_auth_method(self) -> str:
        """Take the one that was shown where none was sent."""
        chosen: str = self.cleaned_data["auth_method"]
        return chosen or self.initial.get("auth_method") or CLIENT_SECRET

    def registration(self) -> dict[str, Any]:
        """Return the arguments of ``create_client``, without the name."""
        values = {name: value for name, value in self.cleaned_data.items() if name != "name"}
        return values | {"grant_types": values["grant_types"] or None}

    def add_problems(self, error: Exception) -> None:
        """Show each problem at the field that it names."""
        if not isinstance(error, ClientInvalid):
            self.add_error(None, error_text(error))
            return
        for problem in error.problems:
            text = problem.text.translated(gettext)
            if text.partition(" ")[0].isalpha():  # a word, and not the name of anything
                text = text[:1].upper() + text[1:]
            sentence = gettext("%(problem)s.") % {"problem": text}
            self.add_error(problem.field if problem.field in self.fields else None, sentence)


def _initial_of(client: ServiceClient) -> dict[str, Any]:
    found = {name: getattr(client, name) for name in ClientForm.base_fields}
    if found["grant_types"] == usable_grants(client):
        found["grant_types"] = []
    return found


def _callable(client: ServiceClient | None) -> list[ServiceClient]:
    """Return the services that can be called, and those that this one may call already."""
    may_call = set((client.may_call if client else None) or ())
    others = clients() if client is None else clients().exclude(pk=client.pk)
    return [
        row
        for row in others
        if (row.audience and row.audience not in conf.AUDIENCE) or row.client_id in may_call
    ]


def _named(client: ServiceClient) -> str:
    return f"{isolated(client.name)}: {isolated(client.audience or client.client_id)}"
