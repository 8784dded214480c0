"""Names for instances: the rule they follow, and friendly ones for those that have none."""

import re
import secrets

RULE = "must be 1 to 40 lower-case letters, digits and hyphens, a letter first, no hyphen last"

_NAME = re.compile(r"[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?")

_ADJECTIVES = (
    "amber", "bold", "brave", "bright", "brisk", "calm", "clever", "crisp", "eager", "fair",
    "fresh", "gentle", "glad", "golden", "green", "happy", "keen", "kind", "light", "lively",
    "lucky", "mellow", "merry", "neat", "noble", "proud", "quick", "quiet", "rapid", "royal",
    "silver", "smart", "snowy", "steady", "sunny", "swift", "tidy", "vivid", "warm", "wise",
)  # fmt: skip
_NOUNS = (
    "badger", "beaver", "bison", "cedar", "cloud", "comet", "crane", "delta", "dolphin", "eagle",
    "ember", "falcon", "fern", "finch", "fjord", "forest", "fox", "harbor", "heron", "island",
    "lake", "lark", "lynx", "maple", "meadow", "moon", "otter", "owl", "panda", "pine",
    "planet", "raven", "reef", "river", "robin", "spruce", "tiger", "valley", "willow", "wren",
)  # fmt: skip


def valid(name: str) -> bool:
    """Whether a name follows the `RULE`: of instances and namespaces alike."""
    return _NAME.fullmatch(name) is not None


def generate() -> str:
    """Make a name such as ``brave-otter-4711``: one of sixteen million."""
    adjective, noun = secrets.choice(_ADJECTIVES), secrets.choice(_NOUNS)
    return f"{adjective}-{noun}-{secrets.randbelow(10_000)}"
