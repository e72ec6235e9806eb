"""A protocol as a folder of lists that a person can read and compare. Mirror images: write and read.

    manifest.json     format, version, name, who made it, seed, choices, the source and its fingerprint, what plays
                      which part in each set, counts, and a fingerprint of it all
    NAME.tsv          a list of templates
    NAME.pairs.tsv    a pair set
    training.tsv      how many images each trained person was trained on, where that is known
    trained_on.tsv    these images as a list, where they are told

A manifest written by hand may leave out counts and fingerprint; what it says is compared.
"""

import hashlib
import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

from facerec_oltr.errors import DataError
from facerec_oltr.protocols.checks import check_protocol
from facerec_oltr.protocols.lists import (
    pair_lines,
    read_pairs,
    read_templates,
    read_training,
    template_lines,
    training_lines,
)
from facerec_oltr.protocols.records import PARTS, PairSet, Protocol, SearchSet, Source, SourceKind
from facerec_oltr.protocols.templates import TemplateList
from recordio_tools.set_writer import write_manifest
from recordio_tools.whole import whole_folder

FORMAT = "facerec protocol"
VERSION = 1
MANIFEST = "manifest.json"
TRAINING, TRAINED_ON = "training.tsv", "trained_on.tsv"
_COUNTED = ("lists", "pair_sets")


def write_protocol(protocol: Protocol, out: str | Path, *, force: bool = False) -> dict[str, Any]:
    """Write a protocol, whole or not at all, and return its manifest; the same protocol gives the same bytes.

    Args:
        protocol: checked once more before anything is written.
        out: the folder; made with its parents.
        force: replace `out` if it holds a protocol and nothing else.

    Raises:
        DataError: the protocol is wrong, see ``check_protocol``, or `out` holds a protocol already.
        SourceError: `out` holds something else, or cannot be written.
    """
    out = Path(out)
    check_protocol(protocol)
    old = _files_of(out)
    if old and not force:
        raise DataError(f"{out}: already holds a protocol; replace it with --force, or give another folder")
    with whole_folder(out, old | {MANIFEST}, MANIFEST, force=force) as folder:
        for name, lines in _files(protocol):
            with (folder / name).open("wb") as file:
                file.writelines(lines)
        manifest = {
            "format": FORMAT,
            "version": VERSION,
            "name": protocol.name,
            "made_by": protocol.made_by,
            "facerec_oltr": version("facerec-oltr"),
            "seed": protocol.seed,
            "choices": dict(protocol.choices),
            "source": vars(protocol.source),
            **_table(protocol),
            "fingerprint": fingerprint(protocol),
        }
        write_manifest(folder, manifest)
    return manifest


def read_protocol(folder: str | Path) -> Protocol:
    """Read a protocol and check it.

    Raises:
        DataError: it is missing, broken, of another version, other than its manifest says, or wrong in itself.
    """
    folder = Path(folder)
    manifest = _read_manifest(folder)
    place = folder / MANIFEST
    try:
        source = Source(**manifest["source"])
        kinds = [type(value) for value in vars(source).values()]
        if source.kind not in get_args(SourceKind) or kinds != [str, str, int, int]:
            raise TypeError
        searches = {name: _search_set(parts) for name, parts in manifest.get("search_sets", {}).items()}
        pair_sets = {name: tuple(map(str, said["lists"])) for name, said in manifest.get("pair_sets", {}).items()}
        names = [str(name) for name in manifest["lists"]]
        seed = None if manifest.get("seed") is None else int(manifest["seed"])
        title, choices = str(manifest["name"]), dict(manifest.get("choices", {}))
    except (TypeError, ValueError, LookupError, AttributeError):
        raise DataError(
            f"{place}: expected name, source (kind, fingerprint, images, people), lists, and search_sets or pair_sets "
            f"with the parts {', '.join(PARTS)} as lists of names; correct it, or make the protocol again"
        ) from None
    for name in {*names, *pair_sets}:
        if Path(name).name != name:
            raise DataError(f"{place}: names the list {name!r}, expected the name of a file beside it")
    lists = {name: read_templates(folder / f"{name}.tsv") for name in names}
    training = read_training(folder / TRAINING) if "training" in manifest else {}
    trained_on = read_templates(folder / TRAINED_ON) if "trained_on" in manifest else None
    protocol = Protocol(
        title,
        source,
        lists,
        searches,
        {name: _pairs(folder, name, members, lists) for name, members in pair_sets.items()},
        training,
        str(manifest.get("made_by", "")),
        seed,
        choices,
        trained_on,
    )
    check_protocol(protocol, folder)
    _compare(protocol, manifest, place)
    return protocol


def fingerprint(protocol: Protocol) -> str:
    """SHA-256 of the source's fingerprint, all lists and the sets: the same lists under other choices are the same."""
    digest = hashlib.sha256(f"{FORMAT} {VERSION} {protocol.source.kind} {protocol.source.fingerprint}\n".encode())
    for name, lines in sorted(_files(protocol), key=lambda file: file[0]):
        content = hashlib.sha256()
        for piece in lines:
            content.update(piece)
        digest.update(f"{name} {content.hexdigest()}\n".encode())
    sets = {
        "search_sets": {name: parts._asdict() for name, parts in protocol.searches.items()},
        "pair_sets": {name: pairs.lists for name, pairs in protocol.pairs.items()},
    }
    digest.update(json.dumps(sets, sort_keys=True).encode())
    return digest.hexdigest()


def _files(protocol: Protocol) -> Iterator[tuple[str, Iterator[bytes]]]:
    for name, templates in protocol.lists.items():
        yield f"{name}.tsv", template_lines(templates)
    for name, pairs in protocol.pairs.items():
        members = [template for one in pairs.lists for template in protocol.lists[one].names]
        yield f"{name}.pairs.tsv", pair_lines(pairs, members)
    if protocol.training_images:
        yield TRAINING, training_lines(protocol.training_images)
    if protocol.trained_on is not None:
        yield TRAINED_ON, template_lines(protocol.trained_on)


def _table(protocol: Protocol) -> dict[str, Any]:
    """What the manifest says of lists and sets."""
    table: dict[str, Any] = {
        "lists": {name: templates.counts() for name, templates in protocol.lists.items()},
        "search_sets": {
            name: {part: list(lists) for part, lists in searches._asdict().items()}
            for name, searches in protocol.searches.items()
        },
        "pair_sets": {
            name: {
                "lists": list(pairs.lists),
                "pairs": len(pairs),
                "same": int(pairs.same.sum()),
                "folds": int(pairs.folds.max()) + 1,
            }
            for name, pairs in protocol.pairs.items()
        },
    }
    if protocol.training_images:
        counts = protocol.training_images
        table["training"] = {"people": len(counts), "images": sum(counts.values())}
    if protocol.trained_on is not None:
        table["trained_on"] = protocol.trained_on.counts()
    return table


def _read_manifest(folder: Path) -> dict[str, Any]:
    place = folder / MANIFEST
    try:
        manifest = json.loads(place.read_bytes())
        found = manifest["format"], manifest["version"]
    except OSError as error:
        raise DataError(
            f"{place}: cannot be read ({error.strerror}); expected a protocol, made with: facerec protocol make"
        ) from None
    except (ValueError, TypeError, LookupError, RecursionError):
        raise DataError(f"{place}: is no manifest of a protocol; make one with: facerec protocol make") from None
    if found != (FORMAT, VERSION):
        raise DataError(
            f"{place}: found format {found[0]!r}, version {found[1]!r}, expected {FORMAT!r}, {VERSION}; make the "
            "protocol again with this facerec"
        )
    return manifest


def _search_set(parts: dict[str, Any]) -> SearchSet:
    if set(parts) - set(PARTS) or not all(isinstance(names, list) for names in parts.values()):
        raise TypeError
    return SearchSet(**{part: tuple(map(str, names)) for part, names in parts.items()})


def _pairs(folder: Path, name: str, members: tuple[str, ...], lists: dict[str, TemplateList]) -> PairSet:
    if missing := [member for member in members if member not in lists]:
        raise DataError(f"{folder / MANIFEST}: pair set {name} names the list {missing[0]!r}, but there is none")
    return read_pairs(
        folder / f"{name}.pairs.tsv", members, [template for member in members for template in lists[member].names]
    )


def _compare(protocol: Protocol, manifest: dict[str, Any], place: Path) -> None:
    """What the manifest counts, with what is there; then the fingerprint."""
    table = _table(protocol)
    counted = [(name, table[kind][name], _said(manifest, kind, name)) for kind in _COUNTED for name in table[kind]]
    counted += [(name, table[name], manifest[name]) for name in ("training", "trained_on") if name in table]
    for name, counts, said in counted:
        for what, count in counts.items():
            if what != "lists" and isinstance(said, dict) and said.get(what, count) != count:
                raise DataError(
                    f"{place}: says {said[what]!r} {what} in {name}, but there are {count:,}; a list was changed: "
                    "bring it back, or take the counts and the fingerprint out of the manifest"
                )
    said, found = manifest.get("fingerprint"), fingerprint(protocol)
    if said is not None and said != found:
        raise DataError(
            f"{place}: says fingerprint {str(said)[:12]!r}, but the lists give {found[:12]!r}; a list was changed: "
            "bring it back, or take the fingerprint out of the manifest"
        )


def _said(manifest: dict[str, Any], kind: str, name: str) -> Any:
    """The manifest's entry; none where lists are named without counts."""
    said = manifest.get(kind)
    return said.get(name) if isinstance(said, dict) else None


def _files_of(out: Path) -> frozenset[str]:
    """The names that belong to the protocol in `out`; none where there is no protocol."""
    try:
        manifest = json.loads((out / MANIFEST).read_bytes())
        if manifest["format"] != FORMAT:
            return frozenset()
        names = {f"{name}.tsv" for name in manifest["lists"]} | {f"{name}.pairs.tsv" for name in manifest["pair_sets"]}
    except (OSError, ValueError, TypeError, LookupError, RecursionError):
        return frozenset()
    return frozenset({*names, MANIFEST, TRAINING, TRAINED_ON})
