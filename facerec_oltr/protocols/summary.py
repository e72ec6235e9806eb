"""What a protocol holds, as numbers."""

from typing import Any

import numpy as np

from facerec_oltr.protocols.records import PARTS, Protocol
from facerec_oltr.protocols.shots import shot_groups


def summarise(protocol: Protocol) -> dict[str, Any]:
    """Counts of every part of every set, ready for JSON.

    A part's `people` are those whom the lists name; a distractor of whom nothing is known counts as a template only.
    """
    trained = np.array(list(protocol.training_images.values()), np.int64)
    return {
        "name": protocol.name,
        "made_by": protocol.made_by,
        "seed": protocol.seed,
        "choices": dict(protocol.choices),
        "source": vars(protocol.source),
        "lists": {name: templates.counts() for name, templates in protocol.lists.items()},
        "search_sets": {
            name: {part: protocol.part(name, part).counts() for part in PARTS} for name in protocol.searches
        },
        "pair_sets": {
            name: {
                "templates": len(protocol.joined(pairs.lists)),
                "pairs": len(pairs),
                "same": int(pairs.same.sum()),
                "different": int((~pairs.same).sum()),
                "folds": int(pairs.folds.max()) + 1,
            }
            for name, pairs in protocol.pairs.items()
        },
        "training": {
            name: int(mask.sum()) for name, mask in shot_groups(trained).items() if name != "zero_shot" and len(trained)
        },
        "trained_on": None if protocol.trained_on is None else protocol.trained_on.counts(),
    }
