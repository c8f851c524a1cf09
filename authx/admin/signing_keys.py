"""Signing keys in the admin: the state and dates of each; making the next one, withdrawing one."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import formats, timezone
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _

from authx.admin.read_only import ReadOnlyAdmin
from authx.admin.recent import ask_again
from authx.admin.words import error_text
from authx.core.key_schedule import IN_USE, LEAD_TIME, KeyState
from authx.errors import StoreUnavailable
from authx.http.direction import isolated
from authx.http.words import together
from authx.issuer.key_rows import KeyringSnapshot, read_keyring
from authx.issuer.private_keys import ALGORITHMS, key_of
from authx.issuer.signing_keys import KeyringRefused, rotate, settings_keys, withdraw
from authx.models import SigningKey

STATES = {
    KeyState.NEXT: _("Next"),
    KeyState.SIGNING: _("Signing"),
    KeyState.RETIRING: _("Retiring"),
    KeyState.RETIRED: _("Retired"),
    KeyState.WITHDRAWN: _("Withdrawn"),
}


class RotateForm(forms.Form):
    """The algorithm of the next key, and how urgent it is."""

    alg = forms.ChoiceField(label=_("Algorithm"), choices=[(alg, alg) for alg in ALGORITHMS])
    at_once = forms.BooleanField(
        label=_("Emergency: sign at once"),
        required=False,
        help_text=_("Services that keep our published keys may refuse its tokens for five minutes."),
    )


@admin.register(SigningKey)
class SigningKeyAdmin(ReadOnlyAdmin):
    """Shows the managed keyring; rotates and withdraws. The private keys are never shown."""

    list_display = ["short_kid", "alg", "state_now", "created_at", "signs_at", "withdrawn_at"]
    ordering = ["-number"]
    actions = None
    readonly_fields = [
        "kid",
        "alg",
        "state_now",
        "created_at",
        "created_by",
        "signs_at",
        "withdrawn_at",
        "withdrawn_by",
        "public_key",
    ]

    @admin.display(description=_("key id"))
    def short_kid(self, key: SigningKey) -> str:
        """Return enough to tell keys apart; the whole id would push the dates out of sight."""
        return format_html('<span dir="ltr" title="{}">{}…</span>', key.kid, key.kid[:8])

    @admin.display(description=_("state"))
    def state_now(self, key: SigningKey) -> str:
        return _state_text(read_keyring(), key)

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """Return the columns; that of the states reads the keyring once for all rows."""
        keyring = cache(read_keyring)

        @admin.display(description=_("state"))
        def state_now(key: SigningKey) -> str:
            return _state_text(keyring(), key)

        return [state_now if name == "state_now" else name for name in self.list_display]

    # Permissions: whoever may manage keys may also view them.

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_view_permission(request, obj) or self.has_manage_permission(request)

    def has_manage_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("authx.manage_signing_keys"))

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Allow none: an encrypted private key could be guessed from the answers, letter by letter."""
        return False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return self.readonly_fields

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show the list, with the settings' keys where those sign or verify."""
        extra = {"given": _given(), "may_manage": self.has_manage_permission(request)}
        return super().changelist_view(request, {**(extra_context or {}), **extra})

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        extra = {"may_manage": self.has_manage_permission(request)}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **extra})

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view
        return [
            path("rotate/", view(self.rotate_page), name="authx_signingkey_rotate"),
            path("<int:number>/withdraw/", view(self.withdraw_page), name="authx_signingkey_withdraw"),
            *super().get_urls(),
        ]

    def rotate_page(self, request: HttpRequest) -> HttpResponse:
        """Ask for confirmation, then make the next key."""
        self._check(request)
        form = RotateForm(request.POST or None)
        if form.is_valid():
            return ask_again(self, request) or self._act(
                request, lambda: self._rotate(request, form.cleaned_data)
            )
        waiting = read_keyring().first(KeyState.NEXT)
        extra = {"form": form, "waiting": waiting, "lead": LEAD_TIME.seconds // 60, "title": _("Rotate now")}
        return self._ask(request, extra)

    def withdraw_page(self, request: HttpRequest, number: int) -> HttpResponse:
        """Ask for confirmation, then withdraw one key."""
        self._check(request)
        key = self.get_object(request, str(number))
        if key is None:
            raise Http404("there is no such key")
        if request.method == "POST":
            return ask_again(self, request) or self._act(request, lambda: self._withdraw(request, key.kid))
        keyring = read_keyring()
        state, signs = _state_text(keyring, key), keyring.state_of(key) is KeyState.SIGNING
        return self._ask(request, {"key": key, "state": state, "signs": signs, "title": _("Withdraw")})

    def _check(self, request: HttpRequest) -> None:
        if not self.has_manage_permission(request):
            raise PermissionDenied

    def _act(self, request: HttpRequest, act: Any) -> HttpResponse:
        try:
            self.message_user(request, act(), messages.SUCCESS)
        except (KeyringRefused, StoreUnavailable) as error:
            self.message_user(request, error_text(error), messages.ERROR)
        name = "admin:authx_signingkey_changelist"
        return HttpResponseRedirect(reverse(name, current_app=self.admin_site.name))

    def _ask(self, request: HttpRequest, extra: dict[str, Any]) -> HttpResponse:
        context = {**self.admin_site.each_context(request), "opts": self.opts, "media": self.media, **extra}
        return TemplateResponse(request, "admin/authx/signingkey/confirm.html", context)

    def _rotate(self, request: HttpRequest, chosen: dict[str, Any]) -> str:
        row = rotate(alg=chosen["alg"], at_once=chosen["at_once"], by=request.user)
        LogEntry.objects.log_actions(str(request.user.pk), [row], ADDITION, str(_("Rotated.")))
        return str(_("The key %(kid)s is published, and signs from %(when)s on.")) % {
            "kid": isolated(row.kid),
            "when": _local(row.signs_at),
        }

    def _withdraw(self, request: HttpRequest, kid: str) -> str:
        row, successor = withdraw(kid, by=request.user)
        LogEntry.objects.log_actions(str(request.user.pk), [row], CHANGE, str(_("Withdrawn.")))
        gone = _("The key %s is withdrawn: its tokens are refused.") % isolated(row.kid)
        return together(
            gone, _("The key %s signs from now on.") % isolated(successor.kid) if successor else ""
        )


def _state_text(keyring: KeyringSnapshot, key: SigningKey) -> str:
    state = keyring.state_of(key)
    is_lost = state in IN_USE and key_of(key, {}) is None
    return (
        _("%(state)s (its private key cannot be decrypted)") % {"state": STATES[state]}
        if is_lost
        else str(STATES[state])
    )


def _given() -> dict[str, Any]:
    """Return the settings' keys and their state; ``{}`` once they no longer verify."""
    state = read_keyring().judged.settings
    if state is KeyState.RETIRED:
        return {}
    return {"state": STATES[state], "signs": state is KeyState.SIGNING, "keys": settings_keys()}


def _local(at: datetime) -> str:
    return str(formats.date_format(timezone.localtime(at), "DATETIME_FORMAT"))
