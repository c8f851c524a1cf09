"""One spelling for all that somebody may type to name the same account."""

from __future__ import annotations

import unicodedata
from typing import Final

#: Characters of a name that count; no account has a longer one.
MAX_NAME: Final = 254

#: Letters that a database takes for others, though Unicode decomposes none of them: PostgreSQL's UPPER and
#: the newer collations of MariaDB.
_SAME: Final = str.maketrans("\u0131øłđðħŧ", "iolddht") | str.maketrans({"æ": "ae", "œ": "oe", "þ": "th"})


def fold_account_name(name: str) -> str:
    """Return the spelling under which tries of ``name`` are counted, at most 254 characters.

    Case, accents, width, white space and invisible characters make no difference: databases, forms and
    backends disagree on which of them name the same account, and a limit must hold for the most generous.
    Two accounts that differ in nothing else share one counter, which costs a try now and then.
    """
    # Cut first: normalizing megabytes of what a stranger sent would be a gift to them.
    decomposed = unicodedata.normalize("NFKD", name[: 4 * MAX_NAME]).casefold().translate(_SAME)
    # Folding can compose again, and a combining character may only appear then.
    folded = unicodedata.normalize("NFKD", decomposed)
    kept = (character for character in folded if _counts(character))
    return "".join(kept)[:MAX_NAME]


def _counts(character: str) -> bool:
    """False for white space, for marks that combine, and for controls and format characters."""
    return not character.isspace() and unicodedata.category(character)[0] not in "MC"
