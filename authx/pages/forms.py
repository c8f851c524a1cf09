"""The login form: Django's own, with "keep me signed in"."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm
from django.utils.translation import gettext_lazy as _

from authx.http.throttle import login_wait


class LoginForm(AuthenticationForm):
    """Asks for name and password as Django does; ``remember`` lets the session outlive the browser."""

    remember = forms.BooleanField(label=_("Keep me signed in"), required=False, initial=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].widget.attrs["autocomplete"] = "username"
        #: Seconds to wait before another try; 0 while tries are left.
        self.wait = 0

    def clean(self) -> dict[str, Any]:
        request = self.request
        self.wait = (
            0 if request is None else login_wait(request, self.data.get(self.add_prefix("username"), ""))
        )
        if self.wait:
            raise forms.ValidationError(_("Too many attempts. Please try again later."), code="throttled")
        return super().clean()
