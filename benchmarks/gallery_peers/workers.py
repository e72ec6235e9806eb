"""What is run in the environment of each peer: scripts as their users write them.

python -m benchmarks.gallery_peers.workers SCRIPT ARGUMENT… in the repository's folder.
"""

import importlib
import json
import pickle
import sys
from pathlib import Path
from typing import Any

from benchmarks.gallery_peers.answers import Named, in_order, person_of
from benchmarks.gallery_peers.vectors import vectors_of


def deepface_find(db: str, detector: str, folder: str) -> None:
    """The script of a user of deepface."""
    find = importlib.import_module("deepface.DeepFace").find
    no_face = importlib.import_module("deepface.modules.exceptions").FaceNotDetected
    named: Named = {}
    for photo in sorted(Path(folder).iterdir()):
        try:
            faces = find(str(photo), db, model_name="Dlib", detector_backend=detector, silent=True)
        except no_face:
            named[photo.name] = None
            continue
        rows = [row for face in faces for row in zip(face["distance"], face["identity"], strict=True)]
        named[photo.name] = [(distance, Path(path).parent.name) for distance, path in rows]
    print(json.dumps(in_order(named)))


def fr(what: str, kept: str, argument: str) -> None:
    """The script of a user of face_recognition."""
    file = Path(kept)
    held: list[tuple[str, Any]] = pickle.loads(file.read_bytes()) if file.exists() else []
    if what == "remove":
        file.write_bytes(pickle.dumps([(name, vector) for name, vector in held if name != argument]))
        return
    library = importlib.import_module("face_recognition")
    named: Named = {}
    names, known = [name for name, _ in held], [vector for _, vector in held]
    for photo in sorted(Path(argument).rglob("*.jpg")):
        faces = library.face_encodings(library.load_image_file(photo))
        if what == "enrol":
            held += [(person_of(photo), vector) for vector in faces[:1]]
            continue
        named[photo.name] = [] if faces else None
        for face in faces:
            rows = zip(library.face_distance(known, face), names, library.compare_faces(known, face), strict=True)
            named[photo.name] = [*(named[photo.name] or ()), *((d, name) for d, name, same in rows if same)]
    if what == "enrol":
        file.write_bytes(pickle.dumps(held))
    else:
        print(json.dumps(in_order(named)))


if __name__ == "__main__":
    {script.__name__: script for script in (deepface_find, fr, vectors_of)}[sys.argv[1]](*sys.argv[2:])
