"""The test suites of our neighbors, without authx and with it.

python tools/neighbors                                  # all of them
python tools/neighbors drf djoser=../djoser             # some; djoser from a checkout
python tools/neighbors --django 6.1 django              # with this Django

Each suite gets its source distribution (or the checkout that is named) and a virtual environment of its
own under .neighbors, made once, and is run twice with the settings it brings: as they are, and with authx
added to them. What fails in one run alone differs. A difference that docs/neighbors.md gives a reason for
is explained; any other makes this fail.
"""
