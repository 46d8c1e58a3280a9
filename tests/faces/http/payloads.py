"""Words that try to lead out of the workspace, as many as one likes, the same ones for the same seed."""

import itertools
import random
import urllib.parse

TARGETS = ("SECRET", "etc/passwd", "proc/self/environ", "index.sqlite", "studio/token", "keys/maker.key", "run.json")
UPS = (
    "..",
    ".",
    "...",
    "....//",
    "..\\",
    "..;",
    "%2e%2e",
    "%252e%252e",
    "..%00",
    "．．",
    "‥",
    "..\u2215",
    "%c0%ae%c0%ae",
    "..%u2216",
)
SLASHES = ("/", "\\", "%2f", "%5c", "%252f", "//", "\\\\", "/./", "%c0%af", "\u2215", ";/", "/%00/")
HEADS = (
    "", "/", "//", "\\\\server\\share\\", "C:\\", "C:", "~", "~root/", "file://", "file:///", "http://127.0.0.1/",
    "upload:", "upload:b/", "image:", "images:", "item:shapes/", "-", "--home=", "@", "|", "$(id)", "`id`", "\n", "\0",
)  # fmt: skip
TAILS = ("", "\0", "%00", "\0.png", "%00.png", ".png", "/", "/.", "?", "#", ":$DATA", "::$INDEX_ALLOCATION", " ", "\n")


def payloads(count, secret, seed=0):
    """Each a word; `secret` is the path of a file that nobody may reach."""
    plain = [str(secret), "/etc/passwd", "../" * 12 + str(secret).lstrip("/"), "..", ".", "", " ", "\0", "x" * 5000,
             "a\nb", "<script>", "con", "nul.png", "first/..", "first/../first", "shapes/../../runs/first"]  # fmt: skip
    chance = random.Random(seed)

    def one():
        target = str(secret).lstrip("/") if (name := chance.choice(TARGETS)) == "SECRET" else name
        slash = chance.choice(SLASHES)
        climb = slash.join([chance.choice(UPS)] * chance.randint(0, 12))
        word = (
            chance.choice(HEADS) + (climb + slash if climb else "") + target.replace("/", slash) + chance.choice(TAILS)
        )
        return urllib.parse.quote(word, safe="") if chance.random() < 0.2 else word

    return list(itertools.islice(itertools.chain(plain, iter(one, None)), count))
