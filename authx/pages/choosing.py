"""The page that asks which device to sign out, where a full limit lets the user choose."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.contrib.auth import login as auth_login
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from authx.errors import ChoiceInvalid, LoginProofInvalid, LoginRefused, SessionLimitReached
from authx.http import django_session
from authx.http.caching import never_cache
from authx.http.confirmation import is_safe
from authx.http.device_cookie import introduce_browser
from authx.http.error_reports import HiddenText
from authx.http.framing import unframed
from authx.http.password_login import password_login_refusal, takes_passwords
from authx.http.request_state import is_swapped, request_state
from authx.http.words import together
from authx.logins.choosing import CompleteLogin, LoginByProof, browser_holder, offer
from authx.logins.outcome import set_retry_after
from authx.pages.other_login_page import to_other_login_page
from authx.pages.texts import OTHER_WAY, refusal_text, too_many
from authx.sessions.choosing import Choice

#: Fields of the form.
PROOF, END, REMEMBER = "proof", "end", "remember"


def is_choice(request: HttpRequest) -> bool:
    """Return whether the form of the page was sent."""
    return request.method == "POST" and PROOF in request.POST


def choice_page(
    request: HttpRequest, error: SessionLimitReached, wanted: str | None = None
) -> HttpResponse | None:
    """Return the page, 409, for the login that ``error`` has refused; None where there is nothing to choose.

    ``wanted`` is where the visitor is going, validated already; by default what the login's own form says.
    """
    login: CompleteLogin | None = request_state(request).complete_login
    if login is None or is_swapped(request):  # a swapped session's client has no device cookie of ours
        return None
    try:
        page = reverse("authx:login")
    except NoReverseMatch:
        return None
    offered = offer(request, login, error, holder=browser_holder(request))
    if offered is None:
        return None
    context = {
        "login_page": page,
        "next": _wanted(request) if wanted is None else wanted,
        "remember": login.persistent,
        "proof": HiddenText(offered.proof),
        "sessions": offered.sessions,
        "must_end": offered.must_end,
        "is_again": login.proof is not None,
    }
    response = cast("HttpResponse", _page(request, context))
    introduce_browser(request, response, overwrites=True)  # the proof is bound to its device cookie
    never_cache(response)
    return response


@unframed  # whichever login page it takes the place of
def _page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    return render(request, "authx/choose.html", context, status=409)


def _wanted(request: HttpRequest) -> str:
    url = request.POST.get(REDIRECT_FIELD_NAME, request.GET.get(REDIRECT_FIELD_NAME, ""))
    return url if url and is_safe(request, url) else ""


class ChoosingLoginView(LoginView):
    """Adds to Django's login view what happens when the page's form is sent."""

    #: The error code with which AUTHX_PASSWORD_LOGIN has refused a right password.
    refusal_code = ""

    @sensitive_variables()
    def choose(self) -> HttpResponse:
        """Sign in whom the form's proof names, in place of the sessions that they have chosen."""
        request = self.request
        try:
            with LoginByProof(request, request.POST[PROOF], holder=browser_holder(request)) as login:
                if word := _refusal(request, login):
                    return self.refuse(word)
                self._sign_in(login)
        except SessionLimitReached as error:
            return self.ask(error) or self.show(refusal_text(error), 409)
        except LoginRefused as error:
            return self.show(refusal_text(error), 403)
        except (LoginProofInvalid, ChoiceInvalid):
            return self._invalid()
        return HttpResponseRedirect(self.get_success_url())

    def ask(self, error: SessionLimitReached) -> HttpResponse | None:
        """Return the page that asks which device to sign out; None where there is nothing to choose."""
        return choice_page(self.request, error, self.get_redirect_url())

    def _sign_in(self, login: CompleteLogin) -> None:
        request, state = self.request, request_state(self.request)
        assert login.proof is not None
        state.by_password, state.remember = login.by_password, REMEMBER in request.POST
        state.proved_login, state.choice = login, Choice(frozenset(_chosen(request)), login.proof)
        auth_login(request, login.user)
        django_session.last_as_long(request, state.remember)

    def _invalid(self) -> HttpResponse:
        wait = request_state(self.request).login_wait
        if wait:
            response = self.show(str(too_many(wait).message), 429)
        else:
            text = _("This choice is no longer open: it is used up, or more than five minutes old.")
            response = self.show(together(text, _("Please sign in again.")), 401)
        set_retry_after(response, wait)  # for a site without our middleware
        return response

    def refuse(self, word: str) -> HttpResponse:
        """Return the login page with what AUTHX_PASSWORD_LOGIN has said of a right password."""
        self.refusal_code = word
        return self.show(str(OTHER_WAY), 401)

    def show(self, text: str, status: int) -> HttpResponse:
        """Return the login page, empty, with this message; where that takes no passwords, the site's own."""
        if not takes_passwords():
            messages.error(self.request, text, fail_silently=True)
            return to_other_login_page(self.request, self.get_redirect_url())
        form: Any = self.get_form_class()(self.request)
        form.full_clean()
        form.cleaned_data = {}  # which only a form that was sent has, and ``add_error`` demands
        form.add_error(None, text)
        response: HttpResponse = self.render_to_response(self.get_context_data(form=form), status=status)
        return response


def _refusal(request: HttpRequest, login: CompleteLogin) -> str | None:
    """Return the word with which AUTHX_PASSWORD_LOGIN refuses, by now, a login by password alone.

    Raises:
        LoginProofInvalid: it takes no password any more; or no backend is known, which pages need.
    """
    if not login.backend or (login.by_password and not takes_passwords()):
        raise LoginProofInvalid("our login page does not take such a login")
    return password_login_refusal(request, login.user) if login.by_password else None


def _chosen(request: HttpRequest) -> Iterator[UUID]:
    """Yield the ids that the form names.

    Raises:
        ChoiceInvalid: one of them is none.
    """
    for text in request.POST.getlist(END):
        try:
            yield UUID(text)
        except ValueError:
            raise ChoiceInvalid("not an id") from None
