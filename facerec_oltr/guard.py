"""What keeps a gallery from being poisoned: is a new face somebody else's, or unlike its own person's other photos?

Both questions need a measure of how alike different people look to this embedder. It is taken from the gallery itself:

- the **impostor maxima**, each enrolled face's best score among all other people. By a Gumbel law, the law of maxima,
  fitted to their quartiles, so that a few doubles among the enrolled people do not shift it, follows the score that one
  stranger in a thousand reaches. A face that is at least so like somebody else may be that person.
- the **impostor pairs**, scores of two different people drawn at random. A face that is less like all other photos of
  its own person than the best hundredth of these is likely somebody else's, or not a face at all.

Where the gallery has a calibration, its threshold answers the first question: a face that would be accepted as somebody
else *is* a mistake waiting to happen. With fewer than 20 people neither is known, and that is said.
"""

from dataclasses import dataclass
from math import log
from typing import Self

import numpy as np
import numpy.typing as npt

from facerec_oltr.gallery.gallery import Gallery
from facerec_oltr.gallery.records import Finding, PersonRecord
from facerec_oltr.metrics.impostors import pair_scores

FEWEST_PEOPLE = 20
_MOST_PEOPLE = 1000  # drawn where more are enrolled
_STRANGERS = 1e-3  # the share of strangers that look at least so like somebody
_PAIRS = 0.01  # the share of pairs of different people that look at least so alike
_FEWEST_OTHERS = 2  # photos of a person that are enough to say that one more is unlike them


@dataclass(frozen=True)
class Guard:
    """The two limits.

    Attributes:
        lookalike: from this score on a face looks like somebody else; None where it is not known.
        outlier: a face with no own photo above this score is unlike its person; None where it is not known.
        basis: where they come from, for a person to read.
    """

    lookalike: float | None
    outlier: float | None
    basis: str

    @classmethod
    def of(cls, gallery: Gallery, seed: int = 0) -> Self:
        """The limits as the gallery stands now; draws at most a thousand people of it."""
        people = gallery.state().identities
        calibration = gallery.calibration(rule="cosine")
        lookalike = calibration.threshold if calibration is not None else None
        basis = f"the calibration for FPIR {calibration.target_fpir:g}" if calibration is not None else ""
        if people < FEWEST_PEOPLE:
            few = f"{people} people enrolled, and it takes {FEWEST_PEOPLE} to know how alike different people look"
            return cls(lookalike, None, basis or few)
        block = gallery.drawn(_MOST_PEOPLE, seed)
        owners, first = np.unique(block.identities, return_index=True)
        one_each = block.vectors[first]
        if lookalike is None:
            lookalike = _gumbel(gallery.search_others(one_each, owners).maxima, _STRANGERS)
            basis = f"{len(owners)} people enrolled, each searched among the others"
        return cls(lookalike, impostor_pairs(one_each, _PAIRS), basis)

    def unlike(self, vector: npt.NDArray[np.float32], own: npt.NDArray[np.float32]) -> float | None:
        """The best score of a face among its person's other photos (n, D), if that is too low; None where it is not.

        With fewer than two others, or where these do not resemble each other themselves, nothing is said.
        """
        if self.outlier is None or len(own) < _FEWEST_OTHERS:
            return None
        among = own @ own.T
        np.fill_diagonal(among, -1)
        if np.median(among.max(axis=1)) < self.outlier:
            return None
        best = float((own @ vector).max())
        return best if best < self.outlier else None


def suspects(gallery: Gallery) -> list[Finding]:
    """Faces in the gallery that look like somebody else who is enrolled, or unlike their own person's other photos.

    Every template is searched among all others. Both may be right as they are: twins, and a bad photo. Two people are
    not told of if a photo of one is said not to be the other.
    """
    guard, found = Guard.of(gallery), []
    if guard.lookalike is None:
        return [Finding(str(gallery.path), f"cannot be searched for lookalikes ({guard.basis})", "enrol more people")]
    told: set[frozenset[str]] = set()
    for name in gallery.identities():
        person = gallery.person(name)
        templates = person.templates
        vectors = np.array([t.vector for t in templates])
        for place, candidates in enumerate(gallery.search(vectors, k=2)):
            photo = templates[place].photo_path
            other = next((c for c in candidates if c.name != name and not c.refused), None)
            if (
                other is not None
                and other.score >= guard.lookalike
                and {name, other.name} not in told
                and not _said_apart(person, gallery.person(other.name))
            ):
                told.add(frozenset((name, other.name)))
                found.append(
                    Finding(
                        name,
                        f"{photo} looks like {other.name!r} (score {other.score:.3f}, below {guard.lookalike:.3f} "
                        "is wanted)",
                        "if both are one person: facerec gallery merge",
                    )
                )
            best = guard.unlike(vectors[place], np.delete(vectors, place, axis=0))
            if best is not None:
                found.append(
                    Finding(
                        name,
                        f"{photo} is unlike the {len(templates) - 1} other photos (best score {best:.3f}, at least "
                        f"{guard.outlier:.3f} is wanted)",
                        "if it shows somebody else: facerec enroll --update with the right photos",
                    )
                )
    return found


def _said_apart(one: PersonRecord, other: PersonRecord) -> bool:
    """Whether somebody said of a photo of one of them that it is not the other."""
    return any(
        {n.photo_sha256 for n in a.negatives} & {t.photo_sha256 for t in b.templates}
        for a, b in ((one, other), (other, one))
    )


def impostor_pairs(one_each: npt.NDArray[np.float32], share: float) -> float:
    """The score that this share of the pairs of different people reaches; faces (n, D), one a person."""
    return float(np.quantile(pair_scores(one_each), 1 - share))


def _gumbel(maxima: npt.NDArray[np.float64], share: float) -> float:
    """The value that this share of maxima exceeds, by a Gumbel law with their quartiles."""
    low, middle, high = np.quantile(maxima, (0.25, 0.5, 0.75))
    scale = (high - low) / (log(-log(0.25)) - log(-log(0.75)))
    return float(middle + scale * (log(-log(0.5)) - log(-log(1 - share))))
