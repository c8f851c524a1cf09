"""The login form: Django's own, with "keep me signed in"."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.debug import sensitive_variables

from authx.conf import conf
from authx.http.request_state import request_state
from authx.logins.attempts import wait_unless_first
from authx.logins.lockout import note_lockout
from authx.logins.outcome import settle
from authx.pages.texts import too_many

#: The ids under which ``authx/login.html`` says why the last session ended, and what is wrong with the form.
ENDED_ID, ERROR_ID = "authx-ended", "authx-error"


class FirstField(forms.BoundField):
    """The field that has the focus first: a screen reader reads with it what stands above the form."""

    @property
    def aria_describedby(self) -> str | None:
        form: Any = self.form
        ids = [ERROR_ID] if form.is_bound and form.non_field_errors() else []
        ids += [ENDED_ID] if form.follows_notice else []
        return " ".join([*ids, *filter(None, [super().aria_describedby])])


class LoginForm(AuthenticationForm):
    """Asks for name and password as Django does; ``remember`` lets the session outlive the browser."""

    #: Whether the page says above the form why the last session ended.
    follows_notice = False

    remember = forms.BooleanField(label=_("Keep me signed in"), required=False, initial=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        username = self.fields["username"]
        username.widget.attrs["autocomplete"] = "username"
        username.bound_field_class = FirstField
        self.fields["remember"].help_text = _remember_help()

    @property
    def wait(self) -> int:
        """Return the seconds to wait before another try, -1 if that is unknown; 0 while tries are left."""
        return 0 if self.request is None else request_state(self.request).login_wait

    def clean(self) -> dict[str, Any]:
        name, password = self.cleaned_data.get("username"), self.cleaned_data.get("password")
        if name is not None and password:
            wait_unless_first(self.request, {"username": name, "password": password})
        if self.wait:
            raise self.get_invalid_login_error()
        try:
            cleaned = super().clean()
        except BaseException:
            settle(failed=True)
            raise
        settle()  # the password was right, whatever else the site asks for
        return cleaned

    def confirm_login_allowed(self, user: Any) -> None:
        """Leave inactive users to the backend, which has just accepted this one; so does ``open_session``."""

    @sensitive_variables()
    def get_invalid_login_error(self) -> forms.ValidationError:
        tried = {key: self.cleaned_data.get(key) for key in ("username", "password")}
        note_lockout(self.request, tried)
        return too_many(self.wait) if self.wait else super().get_invalid_login_error()


def _remember_help() -> str:
    days = conf.SESSION_LIFETIME.days
    if not days:
        return _now("Leave this off on a shared computer.")
    text = ngettext(
        "For up to %d day. Leave this off on a shared computer.",
        "For up to %d days. Leave this off on a shared computer.",
        days,
    )
    return text % days
