"""The hash chain of the audit trail: each entry's digest covers the entry and the digest before it."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from facerec_oltr.errors import GalleryError

BEGINNING = "0" * 64  # the digest before the first


def canonical_json(value: Any, what: str) -> str:
    """A plain JSON value as the one text that equal values have.

    Raises:
        GalleryError: it is no plain JSON value.
    """
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise GalleryError(f"{what} must be plain JSON values ({error})") from error


def canonical_facts(facts: Mapping[str, Any]) -> str:
    """The facts of an entry as its row holds them."""
    return canonical_json(dict(facts), "the facts of an audit entry")


def chain(before: str, number: int, when: str, action: str, facts: str) -> str:
    """The digest of an entry, hex: SHA-256 over the digest before it and the entry as JSON.

    Args:
        before: the digest of entry ``number - 1``; ``BEGINNING`` for the first.
        number: from 1.
        when: ISO 8601.
        action: what happened.
        facts: as ``canonical_facts`` gives them.
    """
    entry = canonical_json({"number": number, "when": when, "action": action, "facts": json.loads(facts)}, "an entry")
    return sha256(f"{before}{entry}".encode()).hexdigest()
