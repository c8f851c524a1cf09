"""What the page before a kick asks: a reason, and of a large one the number it hits, typed out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from django import forms
from django.db.models import Q
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from authx.admin.shown_number import ShownNumberField
from authx.models import DeviceSessionQuerySet
from authx.sessions.kick_permissions import may_kick_superusers, of_superusers
from authx.sessions.queries import live_or_continued

#: More sessions than this are ended only by whoever types their number.
MAX_UNTYPED: Final = 100


@dataclass(frozen=True, slots=True)
class Chosen:
    """The sessions of a selection that are to end, and how many are left out."""

    sessions: DeviceSessionQuerySet
    #: How many live sessions are the staff user's own; left out unless they choose otherwise.
    own: int
    #: How many live sessions are of superusers whom they may not kick out; left out.
    superusers: int
    #: How many sessions are to end.
    total: int
    #: How many users, or subjects of deleted users, they belong to.
    users: int

    @classmethod
    def of(cls, request: HttpRequest, targets: DeviceSessionQuerySet, *, include_own: bool) -> Chosen:
        """Choose among the live ones, as the rows are now in the database that will be written."""
        live = live_or_continued(targets)
        sessions, superusers = live, 0
        if not may_kick_superusers(request.user):
            theirs = of_superusers(live)
            sessions, superusers = live.exclude(theirs), live.filter(theirs).count()
        mine = Q(user=request.user.pk)
        own = sessions.filter(mine).count()
        if not include_own:
            sessions = sessions.exclude(mine)
        return cls(sessions, own, superusers, sessions.count(), _number_of_users(sessions))

    @property
    def are_own_alone(self) -> bool:
        """Return whether none is to end unless the staff user chooses to end their own."""
        return self.own > 0 and self.total == 0

    @property
    def are_many(self) -> bool:
        """Return whether so many are to end that their number has to be typed."""
        return self.total > MAX_UNTYPED


def _number_of_users(sessions: DeviceSessionQuerySet) -> int:
    rows: Any = sessions.order_by()
    known = rows.exclude(user=None).values("user").distinct().count()
    deleted = rows.filter(user=None).values("subject").distinct().count()
    return int(known + deleted)


class KickForm(forms.Form):
    """The reason, for the audit trail; whether to kick out oneself too; and how many, where they are many."""

    reason = forms.CharField(
        label=_("Reason"),
        required=False,
        max_length=200,
        help_text=_("Kept in the session's history; its user does not see it."),
    )
    include_own = forms.BooleanField(label=_("Include my own sessions"), required=False)
    number = ShownNumberField(
        label=_("How many sessions end? Type the number that stands above."),
        required=False,
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
    )

    def ask_for(self, chosen: Chosen) -> None:
        """Let the browser, too, insist on the box where nothing ends without it."""
        if chosen.are_own_alone:
            self.fields["include_own"].widget.attrs["required"] = True

    def agrees_with(self, chosen: Chosen) -> bool:
        """Return whether the box is ticked and the number typed where they must be; if not, the form says so.

        The number may differ by a tenth: people sign in and out meanwhile.
        """
        number = self.cleaned_data["number"]
        if chosen.are_own_alone:
            self.add_error("include_own", _("Tick this box to end sessions of your own."))
        if chosen.are_many:
            if number is None:
                self.add_error("number", _("So many sessions end only if you type their number."))
            elif abs(number - chosen.total) > chosen.total // 10:
                self.add_error(
                    "number", _("That is not how many sessions end now. Look at the number again.")
                )
        return not self.errors
