"""Vectors at rest, plain or encrypted.

AES-256-GCM with a nonce of its own a vector, by the ``cryptography`` package. What a ciphertext belongs to (the gallery
and the photo) is authenticated with it, so that one moved to another row is found, as is one that was changed.
Names, paths and photo digests are not encrypted.
"""

import base64
import binascii
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from facerec_oltr.errors import GalleryError
from facerec_oltr.gallery.records import Vectors
from recordio_tools.whole import flush_folder, flush_to_disk

KEY_VARIABLE = "FACEREC_GALLERY_KEY"

_KEY_BYTES = 32
_NONCE_BYTES = 12  # what GCM is made for (NIST SP 800-38D, 5.2.1.1)
_TAG_BYTES = 16
_LONGEST_KEY_FILE = 1024
_FORMS = "32 raw bytes, 64 hex digits or base64 of 32 bytes"


@dataclass(frozen=True)
class Key:
    """A key of 32 bytes, and where it came from, for messages; it is never shown.

    Attributes:
        secret: the key itself.
        source: a file's path, or the name of the environment variable.
    """

    secret: bytes = field(repr=False)
    source: str

    def __post_init__(self) -> None:
        if len(self.secret) != _KEY_BYTES:
            raise GalleryError(f"{self.source}: a key has {_KEY_BYTES} bytes, found {len(self.secret)}")


def read_key(path: Path) -> Key:
    """The key in a file.

    Raises:
        GalleryError: it cannot be read or holds no key.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_LONGEST_KEY_FILE + 1)
    except OSError as error:
        raise GalleryError(f"{path}: cannot read the key ({error.strerror}); give a file of {_FORMS}") from error
    secret = raw if len(raw) == _KEY_BYTES else _decoded(raw)
    if secret is None:
        raise GalleryError(f"{path}: not a key; expected {_FORMS}")
    return Key(secret, str(path))


def key_from_environment() -> Key | None:
    """The key in ``FACEREC_GALLERY_KEY``, None where that is not set.

    Raises:
        GalleryError: it holds something else.
    """
    text = os.environ.get(KEY_VARIABLE)
    if not text:
        return None
    secret = _decoded(text.encode("utf-8", "surrogateescape"))
    if secret is None:
        raise GalleryError(f"{KEY_VARIABLE}: not a key; expected 64 hex digits or base64 of 32 bytes")
    return Key(secret, KEY_VARIABLE)


def make_key(path: Path) -> Key:
    """Write a new random key as hex digits to a file that only its owner may read; never over another file.

    Raises:
        GalleryError: there is a file already, or the place cannot be written.
    """
    secret = secrets.token_bytes(_KEY_BYTES)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(secret.hex().encode() + b"\n")
            flush_to_disk(file)
        flush_folder(path.parent)
    except FileExistsError as error:
        raise GalleryError(
            f"{path}: there is a file already, and a key is never replaced; give another name"
        ) from error
    except OSError as error:
        raise GalleryError(f"{path}: cannot write a key here ({error.strerror}); look at its folder") from error
    return Key(secret, str(path))


def _decoded(raw: bytes) -> bytes | None:
    """A key out of hex digits or base64; None where it is neither."""
    text = raw.strip()
    if len(text) == 2 * _KEY_BYTES:
        try:
            return bytes.fromhex(text.decode("ascii"))
        except ValueError:
            return None
    try:
        secret = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        return None
    return secret if len(secret) == _KEY_BYTES else None


class VectorForm(Protocol):
    """How a vector is written into its row. Its photo's digest goes with it, to bind the two."""

    def write(self, vector: Vectors, photo_sha256: str) -> bytes:
        """A vector (D,) as bytes."""
        ...

    def read(self, blob: bytes, photo_sha256: str) -> bytes:
        """The 4 D bytes of a vector as little-endian float32.

        Raises:
            GalleryError: these are not its bytes.
        """
        ...


class PlainVectors:
    """Vectors as they are."""

    def __init__(self, dimensions: int) -> None:
        self._bytes = 4 * dimensions

    def write(self, vector: Vectors, photo_sha256: str) -> bytes:  # noqa: D102
        return vector.astype("<f4").tobytes()

    def read(self, blob: bytes, photo_sha256: str) -> bytes:  # noqa: D102
        if len(blob) != self._bytes:
            raise GalleryError(f"a vector has {len(blob)} bytes, expected {self._bytes}; restore a backup")
        return blob


class EncryptedVectors:
    """Vectors as nonce, ciphertext and tag.

    Args:
        key: 32 bytes.
        origin: what is the gallery's own and stays with its copies.
        dimensions: D.
    """

    def __init__(self, key: Key, origin: str, dimensions: int) -> None:
        self._gcm: Any = _aes_gcm()(key.secret)
        self._origin = origin
        self._bytes = 4 * dimensions

    def write(self, vector: Vectors, photo_sha256: str) -> bytes:  # noqa: D102
        return self._seal(vector.astype("<f4").tobytes(), photo_sha256)

    def read(self, blob: bytes, photo_sha256: str) -> bytes:  # noqa: D102
        vector = self._unseal(blob, photo_sha256)
        if vector is None or len(vector) != self._bytes:
            raise GalleryError("an encrypted vector was changed or belongs elsewhere; restore a backup")
        return vector

    def key_check(self) -> bytes:
        """Something to know the key by."""
        return self._seal(b"", "key")

    def knows(self, key_check: bytes) -> bool:
        """Whether that was written with this key, for this gallery."""
        return self._unseal(key_check, "key") is not None

    def _seal(self, content: bytes, purpose: str) -> bytes:
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._gcm.encrypt(nonce, content, self._bound_to(purpose))

    def _unseal(self, blob: bytes, purpose: str) -> bytes | None:
        from cryptography.exceptions import InvalidTag

        if len(blob) < _NONCE_BYTES + _TAG_BYTES:
            return None
        try:
            return self._gcm.decrypt(blob[:_NONCE_BYTES], blob[_NONCE_BYTES:], self._bound_to(purpose))
        except InvalidTag:
            return None

    def _bound_to(self, purpose: str) -> bytes:
        return f"facerec-oltr gallery {self._origin} {purpose}".encode()


def _aes_gcm() -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as error:
        raise GalleryError(
            "cryptography is not installed, which encrypted galleries need; "
            "install it with: pip install 'facerec-oltr[encryption]'"
        ) from error
    return AESGCM


def decoded_vectors(blobs: list[bytes], dimensions: int) -> Vectors:
    """(n, D) float32 from what ``VectorForm.read`` gave."""
    return np.frombuffer(b"".join(blobs), "<f4").astype(np.float32, copy=False).reshape(-1, dimensions)
