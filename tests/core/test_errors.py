"""authx.errors: an error stays what it is on its way between processes, such as a task's to its caller."""

import copy
import inspect
import pickle
from datetime import UTC, datetime
from uuid import UUID

import pytest

from authx import errors

SID = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
#: A value for each argument that is not a text.
OTHERS = {
    "sid": SID,
    "answers_lost": True,
    "ended_at": datetime(2026, 3, 1, 12, tzinfo=UTC),
    "in_query": True,
    "scopes": ("orders:read",),
    "choosable": (SID,),
    "must_end": 2,
}


def tree():
    """All of them, the groups as well."""
    found = [value for value in vars(errors).values() if isinstance(value, type)]
    return [kind for kind in found if issubclass(kind, errors.AuthxError)]


def made(kind):
    """An error of this class with every argument that it takes."""
    if kind.__init__ is Exception.__init__:
        return kind("what happened")
    arguments = {name: OTHERS.get(name, f"the {name}") for name in inspect.signature(kind).parameters}
    return kind(**arguments)


COPIES = {
    "pickle": lambda error: pickle.loads(pickle.dumps(error)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("again", COPIES.values(), ids=list(COPIES))
@pytest.mark.parametrize("kind", tree(), ids=lambda kind: kind.__name__)
def test_an_error_can_be_carried_to_another_process(kind, again):
    error = made(kind)
    found = again(error)
    assert type(found) is kind
    assert (found.code, found.args, str(found), vars(found)) == (
        error.code,
        error.args,
        str(error),
        vars(error),
    )
