"""What a gallery holds, in figures."""

from typing import Any

import numpy as np

from facerec_oltr.gallery.gallery import Gallery


def stats_of(gallery: Gallery) -> dict[str, Any]:
    """Its model, people, templates, index, calibrations and size on the disk, as plain JSON values."""
    state, facts, people = gallery.state(), gallery.facts, gallery.people()
    each = np.array([person.templates for person in people] or [0])
    files = [gallery.path, *gallery.path.parent.glob(f"{gallery.path.name}-*")]
    folder = gallery.index.folder
    files += [] if folder is None else [path for path in folder.glob("*") if path.is_file()]
    calibrations = [
        {**{k: v for k, v in vars(c).items() if k not in ("maxima", "state")}, "stale": gallery.is_stale(c)}
        for c in gallery.calibrations()
    ]
    return {
        "gallery": str(gallery.path),
        "created": facts.created,
        "model": f"{facts.embedder.name} ({facts.embedder.source})",
        "detector": facts.embedder.detector,
        "dimensions": facts.embedder.dimensions,
        "fusion": facts.fusion.value,
        "encrypted": "yes" if facts.encrypted else "no",
        "people": state.identities,
        "templates": state.templates,
        "negatives": sum(person.negatives for person in people),
        "templates_of_a_person": f"{each.min()} to {each.max()}, {each.mean():.3g} on average",
        "index": gallery.index.kind,
        "bytes": sum(path.stat().st_size for path in files if path.exists()),
        "calibrations": calibrations,
    }
