"""One spelling for everything a user may type to name the same account."""

from __future__ import annotations

import unicodedata
from typing import Final

#: Characters of a name that are compared; no account has a longer one.
MAX_NAME_LENGTH: Final = 254

#: Letters that PostgreSQL's UPPER or MariaDB's newer collations treat as others, though Unicode does not
#: decompose them.
_SAME: Final = str.maketrans("\u0131øłđðħŧ", "iolddht") | str.maketrans({"æ": "ae", "œ": "oe", "þ": "th"})


def fold_account_name(name: str) -> str:
    """Return the spelling under which tries of ``name`` are counted, at most 254 characters.

    Case, accents, width, white space and invisible characters make no difference: databases, forms and
    backends disagree on which spellings name the same account, and a limit must hold for the most lenient.
    Two accounts that differ in nothing else share one counter, which costs a try now and then.
    """
    # Cut first: normalizing megabytes of a stranger's input would make a denial of service cheap.
    decomposed = unicodedata.normalize("NFKD", name[: 4 * MAX_NAME_LENGTH]).casefold().translate(_SAME)
    # Folding can compose again, and some combining characters appear only after that.
    folded = unicodedata.normalize("NFKD", decomposed)
    kept = (character for character in folded if _counts(character))
    return "".join(kept)[:MAX_NAME_LENGTH]


def _counts(character: str) -> bool:
    """Return whether this is no white space, no combining mark, no control and no format character."""
    return not character.isspace() and unicodedata.category(character)[0] not in "MC"
