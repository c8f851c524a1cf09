"""What people write in place of a secret: published keys, words, rows of the keyboard."""

from __future__ import annotations

from hashlib import md5, sha1, sha256
from typing import Final

#: What people hash to get something that looks random.
_HASHED: Final = ("", "admin", "changeme", "django", "key", "password", "secret", "secret-key", "secret_key",
    "secretkey", "test")  # fmt: skip

#: Keys that look random and come from a tutorial or a product's defaults; lower case, without the prefix
#: of ``startproject``.
PUBLISHED: Final = frozenset(
    key.lower()
    for key in (
        "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",  # FastAPI's tutorial
        "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",  # Flask's documentation
        "c292a0a3aa32397cdb050e233733900f",  # Redash's default
        "cg#p$g+j9tax!#a3cup@1$8obt2_+&k3q+pmu)5%asj6yjpkag",  # MDN's Django tutorial
        # RFC 7515 §A.1
        "AyM1SysPPbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
    )
) | frozenset(
    made(word.encode(), usedforsecurity=False).hexdigest() for word in _HASHED for made in (md5, sha1, sha256)
)

_WORDS: Final = """
about above access account admin after again algorithm all alone also always amet another any anybody anything
api app application auth authentication authx backend base base64 baseball basic batman batteries battery
because before below best better between bits book brown build but bytes can cannot change changed changeit
changeme changethis character characters check checks choose client code com config configuration cookie core
correct could create custom database day debug default demo deploy deploying deployment dev develop developer
development digits directly django docker does dog dolor dont dragon dummy edit elit else enough enter env
environ environment ever every everybody example fake false file fill first flask football for forget four fox
framework from functional generate generated generator getenv git github goes good great guess guessable
hacker hard has hash have head hello here hidden horse hs256 import insecure insert into ipsum its jumps just
jwt keep key keyboard keys know known knows later lazy least len length letmein letters like line local
localhost long longer look lorem love make management master mine minimum missing monkey more must name need
never new nobody nobodys none not note nothing now number numbers object one only openssl other our ours over
pass passphrase password paste phrase placeholder please postgres pretty princess private prod production
project provide public put python quick qwerty rand random randomly read real really remember remove replace
replaced replaceme required rest root safe same sample save secret secrets secure security see seed select
server service session set settings shadow share should sign signing simple sit site some somebody something
staging staple start startproject static string strings strong sunshine super superman sure system tell temp
temporary ten test tester testing tests text than that the their then there these they thing things think this
three time todo token too top treat true try tutorial two typed unique unknown unsafe until update use used
user username using utils valid value variable verify very wait want warning was web website welcome what when
where which who will with without word words work world would write you your yours zero zxcvbn 1234 2019 2020
2021 2022 2023 2024 2025 2026 2027 2028 2029 2030
"""
_SHORT_WORDS: Final = (
    "an and are as at be but by do go he if in is it me my no of on or re so to up us we a i v"
)

#: Words that placeholders and bad passwords are made of.
WORDS: Final = frozenset(_WORDS.split())

#: Words that count only between separators and other words: random text is full of them.
SHORT_WORDS: Final = tuple(_SHORT_WORDS.split())

#: Familiar series: rows and columns of keyboards, counting.
ROWS: Final = (
    "qwertyuiop[]asdfghjkl;'zxcvbnm,./",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik,9ol.0p;/",
    "1q2w3e4r5t6y7u8i9o0p",
    "qazwsxedcrfvtgbyhnujmikolp",
    "`1234567890-=",
    "~!@#$%^&*()_+",
    "0123456789abcdef",
    bytes(range(64)).hex(),
)
