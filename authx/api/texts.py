"""The texts of the API's errors, by code; an exception with a status of its own has its text beside it."""

from __future__ import annotations

#: The message of each error code; never the text of an exception (V16.5.1).
DETAILS = {
    "invalid_credentials": "Unable to log in with these credentials.",
    "not_authenticated": "Authentication credentials were not provided.",
    "token_malformed": "Invalid token.",
    "token_expired": "The access token has expired.",
    "token_not_for_us": "The access token is meant for somebody else.",
    "key_unknown": "The access token is signed with an unknown key.",
    "session_ended": "The session has ended.",
    "refresh_malformed": "Invalid refresh token.",
    "refresh_conflict": "The refresh token was spent and its successor is in use.",
    "refresh_reused": "The refresh token was used before; the session has been ended.",
    "proof_invalid": "Invalid login proof.",
    "session_limit": "This account is signed in on as many devices as allowed.",
    "insufficient_user_authentication": "A more recent login is required.",
}

#: The message where a session was ended not for a copy that was noticed, but for answers that got lost.
ANSWERS_LOST = "The session has been ended: answers to its refreshes kept getting lost."

#: The message of an error code of the site's own.
OTHER_DETAIL = "This account needs another way to sign in."

#: The message about ``end``, whether there is no such session, it is another user's, or no limit counts it.
NOT_CHOOSABLE = "There is no such session to end for this login."

#: The message about a name or a password that is sent with a login proof.
BESIDE_PROOF = "A login proof stands in place of name and password."
