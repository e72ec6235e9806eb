"""What a user feels: a gallery of facerec beside deepface, face_recognition and milvus-lite, on the same photos.

    FACEREC_DATA=… python benchmarks/gallery_peers.py PEERS OUT     # about 20 minutes; OUT is a scratch folder

PEERS holds an environment for each peer; one that is not there is left out, and that is said. They are made so:

    python -m venv PEERS/deepface
    PEERS/deepface/bin/pip install deepface==0.0.103 werkzeug==3.1.9 opencv-contrib-python-headless==4.11.0.86 \
        dlib-bin==20.0.1.post1 face-recognition-models==0.3.0
    python -m venv PEERS/face_recognition
    PEERS/face_recognition/bin/pip install dlib-bin==20.0.1.post1 face-recognition-models==0.3.0 'setuptools<81' \
        numpy==2.4.6 pillow==13.0.0 click==8.5.1
    PEERS/face_recognition/bin/pip install --no-deps face_recognition==1.3.0
    python -m venv PEERS/milvus-lite
    PEERS/milvus-lite/bin/pip install pymilvus==3.0.2 milvus-lite==3.2.2

deepface does not name werkzeug, which it imports, and OpenCV 5 no longer brings the cascades of its default detector;
face_recognition asks for dlib by name, which dlib-bin is. Photos: 100 people of LFW with two photos each, two others of
each as mated probes, 200 strangers of one photo, and 300 other people to calibrate by (ours alone can). Everybody uses
dlib's network; deepface with its default detector and with dlib's, which ours and face_recognition use. Tools take
turns, every step is a process of its own, as a user starts it. Vectors: random, of length 1, ten to a person.
"""

import argparse
import importlib
import json
import os
import pickle
import shutil
import sqlite3
import statistics
import subprocess
import sys
import time
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

SEED, ROUNDS, TRIALS = 0, 3, 10
ENROLLED, EACH, STRANGERS, CALIBRATION, FPIR = 100, 2, 200, 300, 0.01
LATER = 40  # probes beyond the first, by which the time of a later one is taken
VECTORS = ((50_000, 128), (20_000, 512))
OF_A_PERSON, A_CALL, PROBES, COSINE = 10, 1000, 64, 0.6
WEIGHTS = ("dlib_face_recognition_resnet_model_v1.dat", "shape_predictor_5_face_landmarks.dat")
Answers = dict[str, list[str] | None]  # of a photo: names, best first; None where no face was found


# --- the photos


def draw(data: Path, out: Path) -> dict[str, Any]:
    """Folders of photos, and who is in them."""
    archives = [zipfile.ZipFile(data / "lfw" / name) for name in ("lfw_ids_ge2.zip", "lfw_ids_single.zip")]
    photos: dict[str, list[tuple[zipfile.ZipFile, str]]] = {}
    for archive in archives:
        for path in sorted(archive.namelist()):
            if path.endswith(".jpg"):
                photos.setdefault(path.split("/")[0], []).append((archive, path))
    rng = np.random.default_rng(SEED)
    many = rng.permutation(sorted(name for name, own in photos.items() if len(own) >= 2 * EACH)).tolist()
    known, newcomers = many[:ENROLLED], many[ENROLLED : ENROLLED + 1 + 2 * TRIALS]
    others = rng.permutation(sorted(photos.keys() - set(known) - set(newcomers))).tolist()
    strangers, calibration = others[:STRANGERS], others[STRANGERS : STRANGERS + CALIBRATION]

    def put(folder: Path, name: str, first: int, last: int) -> list[Path]:
        folder.mkdir(parents=True, exist_ok=True)
        order = np.random.default_rng([SEED, len(photos[name])]).permutation(len(photos[name]))
        chosen = [photos[name][i] for i in order[first:last]]
        for archive, path in chosen:
            (folder / Path(path).name).write_bytes(archive.read(path))
        return [folder / Path(path).name for _, path in chosen]

    for name in known:
        put(out / "known" / name, name, 0, EACH)
    for name in newcomers:
        put(out / "new" / name, name, 0, EACH)
    for name in calibration:
        put(out / "calibration" / name, name, 0, 1)
    mated = [path for name in known for path in put(out / "all", name, EACH, 2 * EACH)]
    unmated = [path for name in strangers for path in put(out / "all", name, 0, 1)]
    for folder, some in (("one", mated[:1]), ("some", mated[: LATER // 2 + 1] + unmated[: LATER // 2])):
        (out / folder).mkdir()
        for path in some:
            shutil.copy(path, out / folder)
    return {"known": known, "new": newcomers, "mated": [p.name for p in mated], "strangers": [p.name for p in unmated]}


def person_of(photo: str | Path) -> str:
    """Whom LFW says a photo shows."""
    return Path(photo).stem.rpartition("_")[0]


# --- the tools: each has a folder `home`, where everything that it keeps lies


class Tool(ABC):
    """What a user does with any of them. Every method starts the processes that the user would start."""

    enrols = True  # whether it keeps anything between two commands

    def __init__(self, name: str, home: Path, photos: Path) -> None:
        self.name, self.home, self.photos = name, home, photos

    @abstractmethod
    def enrol(self, people: Path) -> None:
        """Enrol a folder of one folder a person into an empty home."""

    @abstractmethod
    def add(self, person: str) -> "subprocess.Popen[str]":
        """Begin to add one more person."""

    @abstractmethod
    def identify(self, folder: Path) -> Answers:
        """Answer all photos of a folder."""

    @abstractmethod
    def remove(self, person: str) -> None:
        """Remove somebody."""

    def vectors(self) -> dict[str, list[bytes]]:
        """What it has kept of everybody, as it lies in its files."""
        return {}


class Ours(Tool):
    """The commands of facerec."""

    @property
    def gallery(self) -> Path:
        """Its file."""
        return self.home / "gallery.db"

    def enrol(self, people: Path) -> None:  # noqa: D102
        finish(facerec("enroll", "--gallery", self.gallery, "--model", "dlib", people))

    def calibrate(self) -> None:
        """What the peers cannot do."""
        strangers = self.photos / "calibration"
        finish(facerec("calibrate", "--gallery", self.gallery, "--strangers", strangers, "--fpir", FPIR))

    def add(self, person: str) -> "subprocess.Popen[str]":  # noqa: D102
        photos = sorted((self.photos / "new" / person).iterdir())
        return facerec("enroll", "--gallery", self.gallery, "--id", person, *photos)

    def identify(self, folder: Path) -> Answers:  # noqa: D102
        named: dict[str, list[tuple[float, str]] | None] = {}
        for face in json.loads(finish(facerec("identify", "--gallery", self.gallery, "--json", folder))):
            photo, decision = Path(face["photo"]).name, face["decision"]
            if decision in ("no face", "unreadable"):
                named[photo] = None
            else:
                accepted = [(-face["score"], face["identity"])] if decision == "accepted" else []
                named[photo] = [*(named.get(photo) or ()), *accepted]
        return in_order(named)

    def remove(self, person: str) -> None:  # noqa: D102
        finish(start([sys.executable, __file__, "--worker", "ours_remove", self.gallery, person]))

    def vectors(self) -> dict[str, list[bytes]]:  # noqa: D102
        held: dict[str, list[bytes]] = {}
        query = "SELECT name, vector FROM templates JOIN identities ON identities.id = templates.identity"
        with sqlite3.connect(f"{self.gallery.as_uri()}?mode=ro", uri=True) as db:
            for name, vector in db.execute(query):
                held.setdefault(name, []).append(vector)
        return held


def facerec(*words: Any) -> "subprocess.Popen[str]":
    """Start a command of ours, as its console script does it."""
    return start([sys.executable, "-c", "from facerec_oltr.cli import main; main()", *words])


def ours_remove(gallery: str, person: str) -> None:
    """Remove somebody; there is no command for it yet."""
    from facerec_oltr.gallery import Gallery

    with Gallery.open(gallery) as opened:
        opened.remove(person)


class Deepface(Tool):
    """`DeepFace.find` in a script of a few lines: the photos are its database, its vectors a file beside them."""

    def __init__(self, name: str, home: Path, photos: Path, python: Path, detector: str) -> None:
        super().__init__(name, home, photos)
        self.python, self.detector = python, detector

    def enrol(self, people: Path) -> None:  # noqa: D102
        shutil.copytree(people, self.home, dirs_exist_ok=True)
        self.identify(self.photos / "one")  # there is no other way to enrol

    def add(self, person: str) -> "subprocess.Popen[str]":  # noqa: D102
        shutil.copytree(self.photos / "new" / person, self.home / person)
        return self._find(self.photos / "one")

    def identify(self, folder: Path) -> Answers:  # noqa: D102
        return json.loads(finish(self._find(folder)).splitlines()[-1])

    def remove(self, person: str) -> None:  # noqa: D102
        shutil.rmtree(self.home / person)

    def vectors(self) -> dict[str, list[bytes]]:  # noqa: D102
        held: dict[str, list[bytes]] = {}
        with np.load(next(self.home.glob("*.npz"))) as file:
            for photo, vector, there in zip(file["identity"], file["embedding"], file["has_embedding"], strict=True):
                held.setdefault(person_of(str(photo)), []).extend([vector.tobytes()] if there else [])
        return held

    def _find(self, folder: Path) -> "subprocess.Popen[str]":
        return start([self.python, __file__, "--worker", "deepface_find", self.home, self.detector, folder])


def deepface_find(db: str, detector: str, folder: str) -> None:
    """The script of a user of deepface."""
    find = importlib.import_module("deepface.DeepFace").find
    no_face = importlib.import_module("deepface.modules.exceptions").FaceNotDetected
    named: dict[str, list[tuple[float, str]] | None] = {}
    for photo in sorted(Path(folder).iterdir()):
        try:
            faces = find(str(photo), db, model_name="Dlib", detector_backend=detector, silent=True)
        except no_face:
            named[photo.name] = None
            continue
        rows = [row for face in faces for row in zip(face["distance"], face["identity"], strict=True)]
        named[photo.name] = [(distance, Path(path).parent.name) for distance, path in rows]
    print(json.dumps(in_order(named)))


class FaceRecognition(Tool):
    """The library in a script that keeps the vectors in a file, as tutorials show it."""

    def __init__(self, name: str, home: Path, photos: Path, python: Path) -> None:
        super().__init__(name, home, photos)
        self.python = python

    def enrol(self, people: Path) -> None:  # noqa: D102
        finish(self._script("enrol", people))

    def add(self, person: str) -> "subprocess.Popen[str]":  # noqa: D102
        return self._script("enrol", self.photos / "new" / person)

    def identify(self, folder: Path) -> Answers:  # noqa: D102
        return json.loads(finish(self._script("identify", folder)))

    def remove(self, person: str) -> None:  # noqa: D102
        finish(self._script("remove", person))

    def vectors(self) -> dict[str, list[bytes]]:  # noqa: D102
        held: dict[str, list[bytes]] = {}
        for name, vector in pickle.loads((self.home / "faces.pickle").read_bytes()):
            held.setdefault(name, []).append(vector.tobytes())
        return held

    def _script(self, what: str, argument: Path | str) -> "subprocess.Popen[str]":
        return start([self.python, __file__, "--worker", "fr", what, self.home / "faces.pickle", argument])


def fr(what: str, kept: str, argument: str) -> None:
    """The script of a user of face_recognition."""
    file = Path(kept)
    held: list[tuple[str, Any]] = pickle.loads(file.read_bytes()) if file.exists() else []
    if what == "remove":
        file.write_bytes(pickle.dumps([(name, vector) for name, vector in held if name != argument]))
        return
    library = importlib.import_module("face_recognition")
    named: dict[str, list[tuple[float, str]] | None] = {}
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


class FaceRecognitionCommand(Tool):
    """The command `face_recognition KNOWN PHOTOS`, which embeds everybody anew each time."""

    enrols = False

    def __init__(self, name: str, home: Path, photos: Path, python: Path) -> None:
        super().__init__(name, home, photos)
        self.python = python

    def enrol(self, people: Path) -> None:  # noqa: D102
        for photo in people.rglob("*.jpg"):
            shutil.copy(photo, self.home)

    def identify(self, folder: Path) -> Answers:  # noqa: D102
        command = [self.python.with_name("face_recognition"), "--show-distance", "True", self.home, folder]
        named: dict[str, list[tuple[float, str]] | None] = {}
        for line in finish(start(command)).splitlines():
            if line.startswith("WARNING"):
                continue
            path, name, distance = line.rsplit(",", 2)
            photo = Path(path).name
            if name == "no_persons_found":
                named[photo] = None
            else:
                accepted = [] if name == "unknown_person" else [(float(distance), name.rpartition("_")[0])]
                named[photo] = [*(named.get(photo) or ()), *accepted]
        return in_order(named)


def in_order(named: dict[str, list[tuple[float, str]] | None]) -> Answers:
    """Answers of the names of each photo, with the distance of each."""
    return {
        photo: None if rows is None else list(dict.fromkeys(name for _, name in sorted(rows)))
        for photo, rows in named.items()
    }


# --- starting processes


def start(words: Sequence[Any]) -> "subprocess.Popen[str]":
    """Start a process and keep what it says."""
    return subprocess.Popen([str(word) for word in words], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process: "subprocess.Popen[str]") -> str:
    """What it said; it must have gone well."""
    out, err = process.communicate()
    if process.returncode:
        raise SystemExit(f"{process.args}: exit code {process.returncode}\n{err[-2000:]}")
    return out


def seconds(step: Callable[[], Any]) -> tuple[float, Any]:
    """How long a step takes, and what it gives."""
    begun = time.perf_counter()
    result = step()
    return time.perf_counter() - begun, result


# --- what is measured on photos


def one_round(tool: Tool, who: dict[str, Any], last: bool) -> dict[str, Any]:
    """Everything with a tool once; the last time with all probes."""
    shutil.rmtree(tool.home, ignore_errors=True)
    tool.home.mkdir(parents=True)
    figures: dict[str, Any] = {"enrol": seconds(lambda: tool.enrol(tool.photos / "known"))[0]}
    if isinstance(tool, Ours):
        figures["calibrate"] = seconds(tool.calibrate)[0]
    figures["first"], _ = seconds(lambda: tool.identify(tool.photos / "one"))
    some, _ = seconds(lambda: tool.identify(tool.photos / "some"))
    figures["later"] = (some - figures["first"]) / LATER
    if last:
        figures["answers"] = judge(tool.identify(tool.photos / "all"), who)
    if not tool.enrols:
        return figures | {"enrol": None}
    if last:
        held = tool.vectors()
        figures["enrolled"] = {
            "people": sum(bool(own) for own in held.values()),
            "photos": sum(map(len, held.values())),
        }
    figures["add"] = seconds(lambda: finish(tool.add(who["new"][0])))[0]
    gone = tool.vectors()[who["known"][1]]
    figures["vectors_of_the_removed"] = [traces(tool.home, gone)]
    figures["remove"] = seconds(lambda: tool.remove(who["known"][1]))[0]
    figures["vectors_of_the_removed"] += [traces(tool.home, gone)]
    if isinstance(tool, Deepface):
        tool.identify(tool.photos / "one")
        figures["vectors_of_the_removed"] += [traces(tool.home, gone)]
    return figures


def judge(answers: Answers, who: dict[str, Any]) -> dict[str, int]:
    """Counts of answers; the first name is the answer, and every photo counts."""
    assert answers.keys() == {*who["mated"], *who["strangers"]}
    mated = {photo: answers[photo] for photo in who["mated"]}
    return {
        "strangers": len(who["strangers"]),
        "strangers_accepted": sum(bool(answers[photo]) for photo in who["strangers"]),
        "mated": len(mated),
        "right": sum(bool(names) and names[0] == person_of(photo) for photo, names in mated.items()),
        "wrong_name": sum(bool(names) and names[0] != person_of(photo) for photo, names in mated.items()),
        "several_names": sum(len(names or ()) > 1 for names in answers.values()),
        "no_face": sum(names is None for names in answers.values()),
    }


def traces(home: Path, vectors: Sequence[bytes]) -> int:
    """How many of these vectors are in any file of a tool, photos aside."""
    contents = [path.read_bytes() for path in home.rglob("*") if path.is_file() and path.suffix != ".jpg"]
    return sum(any(vector in content for content in contents) for vector in vectors)


def two_at_once(tool: Tool, who: dict[str, Any]) -> dict[str, Any]:
    """Two processes begin at the same time, each to add a person, ten times into one gallery."""
    shutil.rmtree(tool.home, ignore_errors=True)
    tool.home.mkdir(parents=True)
    few = tool.home.with_name(f"{tool.home.name}-few")
    shutil.rmtree(few, ignore_errors=True)
    for name in who["known"][:5]:
        shutil.copytree(tool.photos / "known" / name, few / name)
    tool.enrol(few)
    failed, lost, words = 0, 0, set()
    for trial in range(TRIALS):
        pair = who["new"][1 + 2 * trial : 3 + 2 * trial]
        for process in [tool.add(name) for name in pair]:
            _, err = process.communicate()
            failed += process.returncode != 0
            words |= {err.strip().splitlines()[-1][:300]} if process.returncode else set()
        lost += len(set(pair) - tool.vectors().keys())
    missing = len(set(who["new"][1:]) - tool.vectors().keys())
    return {
        "pairs": TRIALS,
        "failed": failed,
        "absent_after": lost,
        "absent_at_the_end": missing,
        "errors": sorted(words),
    }


# --- what is measured on vectors


def drawn(n: int, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vectors (n, d), probes (64, d) at a cosine of about 0.6 to one each, and which."""
    rng = np.random.default_rng([SEED, n, d])
    held = rng.standard_normal((n, d)).astype(np.float32)
    held /= np.linalg.norm(held, axis=1, keepdims=True)
    noise = rng.standard_normal((PROBES, d)).astype(np.float32)
    noise /= np.linalg.norm(noise, axis=1, keepdims=True)
    which = rng.choice(n, PROBES, replace=False)
    probes = held[which] + noise * float((COSINE**-2 - 1) ** 0.5)
    return held, probes / np.linalg.norm(probes, axis=1, keepdims=True), which


class OurVectors:
    """`facerec_oltr.gallery.Gallery`: one call a person, on the disk when it returns."""

    def __init__(self, home: Path, d: int) -> None:
        from facerec_oltr.gallery import Gallery
        from facerec_oltr.gallery.records import RecordedEmbedder

        facts = RecordedEmbedder("random", "0" * 64, dimensions=d, size=1, source="random")
        self.gallery = Gallery.open_or_create(home / "gallery.db", facts)

    def insert(self, vectors: np.ndarray) -> None:
        """All of them, person by person."""
        for first in range(0, len(vectors), OF_A_PERSON):
            self.insert_person(first, vectors[first : first + OF_A_PERSON])

    def insert_person(self, first: int, vectors: np.ndarray) -> None:
        """One more person."""
        keys = [f"{number:064x}" for number in range(first, first + len(vectors))]
        self.gallery.enrol(str(first // OF_A_PERSON), vectors, keys, keys)

    def search(self, probes: np.ndarray) -> list[int]:
        """The best person of each."""
        return [int(found[0].name) for found in self.gallery.search(probes, k=2)]

    def remove(self, person: int) -> None:
        """Remove a person."""
        self.gallery.remove(str(person))

    def close(self) -> None:
        """Close it."""
        self.gallery.close()


class MilvusVectors:
    """A collection as `create_collection(name, dimension)` makes it: AUTOINDEX, cosine."""

    def __init__(self, home: Path, d: int) -> None:
        self.client = importlib.import_module("pymilvus").MilvusClient(str(home / "milvus.db"))
        if self.client.has_collection("people"):
            self.client.load_collection("people")
        else:
            self.client.create_collection("people", dimension=d)

    def insert(self, vectors: np.ndarray) -> None:
        """All of them, 1,000 a call."""
        for first in range(0, len(vectors), A_CALL):
            self.insert_person(first, vectors[first : first + A_CALL])

    def insert_person(self, first: int, vectors: np.ndarray) -> None:
        """One more person, or several."""
        rows = [{"id": i, "vector": v, "person": i // OF_A_PERSON} for i, v in enumerate(vectors, first)]
        self.client.insert("people", rows)

    def search(self, probes: np.ndarray) -> list[int]:
        """The best person of each."""
        found = self.client.search("people", data=probes.tolist(), limit=2, output_fields=["person"])
        return [hits[0]["entity"]["person"] for hits in found]

    def remove(self, person: int) -> None:
        """Remove a person."""
        self.client.delete("people", filter=f"person == {person}")

    def close(self) -> None:
        """Close it."""
        self.client.close()


BACKENDS = {"ours": OurVectors, "milvus-lite": MilvusVectors}


def vectors_of(name: str, step: str, home: str, n: str, d: str) -> None:
    """A process with vectors: insert, search, or open what another has open; figures as JSON on stdout."""
    folder, dimensions = Path(home), int(d)
    held, probes, which = drawn(int(n), dimensions)
    right = which // OF_A_PERSON
    took, backend = seconds(lambda: BACKENDS[name](folder, dimensions))
    figures: dict[str, Any] = {}
    if step == "second":
        assert backend.search(probes[:1]) == [right[0]]
    elif step == "insert":
        figures["insert"] = seconds(lambda: backend.insert(held))[0]
    else:
        figures["open and first search"] = took + seconds(lambda: backend.search(probes[:1]))[0]
        singles = [seconds(lambda p=p: backend.search(p[None])) for p in probes]
        figures["search, batch 1"] = statistics.median(took for took, _ in singles)
        batches = [seconds(lambda: backend.search(probes)) for _ in range(5)]
        figures["search, batch 64"] = statistics.median(took for took, _ in batches)
        figures["right"] = sum(bool(a == b) for (_, [a]), b in zip(singles, right, strict=True))
        new = [(int(n) + OF_A_PERSON * i, held[OF_A_PERSON * i : OF_A_PERSON * (i + 1)]) for i in range(50)]
        figures["add a person"] = statistics.median(
            seconds(lambda f=f, v=v: backend.insert_person(f, v))[0] for f, v in new
        )
        second = start([sys.executable, __file__, "--worker", "vectors_of", name, "second", home, n, d])
        _, err = second.communicate()
        figures["second process"] = err.strip().splitlines()[-1][:200] if second.returncode else "answers"
        gone = held[:OF_A_PERSON]
        figures["vectors of the removed"] = {"before": vectors_in(folder, gone)}
        # The fifty were copies of the first fifty people, and would be found in place of the first.
        for first, _ in new:
            backend.remove(first // OF_A_PERSON)
        figures["remove a person"] = seconds(lambda: backend.remove(0))[0]
        figures["vectors of the removed"]["after"] = vectors_in(folder, gone)
    backend.close()
    if step == "search":
        figures["vectors of the removed"]["closed"] = vectors_in(folder, held[:OF_A_PERSON])
    print(json.dumps(figures))


def vectors_in(home: Path, vectors: np.ndarray) -> int:
    """How many of these are in any file, as float32; compressed Parquet files are read as such."""
    found = {i for i, v in enumerate(vectors) if traces(home, [v.tobytes()])}
    for path in home.rglob("*.parquet"):
        table = importlib.import_module("pyarrow.parquet").read_table(path)
        if "vector" in table.column_names:
            held = np.array(table["vector"].to_pylist(), np.float32)
            found |= {i for i, v in enumerate(vectors) if (held == v).all(axis=1).any()}
    return len(found)


# --- all of it


def measure_photos(tools: list[Tool], who: dict[str, Any]) -> dict[str, Any]:
    """Rounds in turns, then two processes at once."""
    found: dict[str, Any] = {tool.name: {"rounds": []} for tool in tools}
    for number in range(ROUNDS):
        for tool in tools:
            found[tool.name]["rounds"].append(one_round(tool, who, last=number == ROUNDS - 1))
            print(f"round {number + 1}: {tool.name}: {found[tool.name]['rounds'][-1]}", file=sys.stderr, flush=True)
    for tool in tools:
        if tool.enrols and not isinstance(tool, FaceRecognition):  # its file is the user's own doing
            found[tool.name]["two_at_once"] = two_at_once(tool, who)
            print(f"two at once: {tool.name}: {found[tool.name]['two_at_once']}", file=sys.stderr, flush=True)
    return found


def measure_vectors(pythons: dict[str, Path], out: Path) -> list[dict[str, Any]]:
    """Rounds in turns, every size."""
    found = []
    for n, d in VECTORS:
        rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in pythons}
        for _ in range(ROUNDS):
            for name, python in pythons.items():
                home = out / f"vectors-{name}"
                shutil.rmtree(home, ignore_errors=True)
                home.mkdir()
                figures: dict[str, Any] = {}
                for step in ("insert", "search"):
                    words = [python, __file__, "--worker", "vectors_of", name, step, home, n, d]
                    figures |= json.loads(finish(start(words)).splitlines()[-1])
                rounds[name].append(figures)
                print(f"{n} × {d}: {name}: {figures}", file=sys.stderr, flush=True)
        found.append({"vectors": n, "dimensions": d, "rounds": rounds})
    return found


def spread(own: Sequence[float], base: Sequence[float] | None = None) -> str:
    """A median in seconds or milliseconds, and the median ratio of the rounds to ours."""
    middle = statistics.median(own)
    words = f"{middle:.2f} s" if middle >= 0.5 else f"{middle * 1000:.3g} ms"
    return (
        words if base is None else f"{words} ({statistics.median(a / b for a, b in zip(own, base, strict=True)):.2g}×)"
    )


def photo_table(found: dict[str, Any]) -> str:
    """The table of the photos, in Markdown; in brackets times of ours."""
    rows: dict[str, list[str]] = {}
    for name, figures in found.items():
        rounds, ours = figures["rounds"], found["ours"]["rounds"]
        for what, row in PHOTO_ROWS.items():
            own, base = [r.get(what) for r in rounds], None if name == "ours" else [r.get(what) for r in ours]
            cell = "–" if own[0] is None else spread(own, base if base and base[0] is not None else None)
            rows.setdefault(row, []).append(cell)
        a, kept, both = rounds[-1]["answers"], rounds[-1].get("enrolled"), figures.get("two_at_once")
        left = rounds[-1].get("vectors_of_the_removed")
        shown = {
            "photos enrolled, of 200": str(kept["photos"]) if kept else "–",
            "strangers accepted as somebody": f"**{a['strangers_accepted'] / a['strangers']:.1%}**",
            "enrolled people told by name": f"{a['right'] / a['mated']:.1%}",
            "– by a wrong name": f"{a['wrong_name'] / a['mated']:.1%}",
            "probes given several names": str(a["several_names"]),
            "probes without a face found": str(a["no_face"]),
            "vectors of a removed person left": " → ".join(map(str, left)) if left else "–",
            "two add at once, 10 times: failed processes": str(both["failed"]) if both else "–",
            "– people not there afterwards": str(both["absent_after"]) if both else "–",
        }
        for row, cell in shown.items():
            rows.setdefault(row, []).append(cell)
    return markdown(["", *found], rows)


PHOTO_ROWS = {
    "enrol": "enrol 100 people, 200 photos",
    "calibrate": "choose the threshold by 300 strangers",
    "first": "first probe, from starting the process",
    "later": "each later probe of the same process",
    "add": "add one person",
    "remove": "remove one person",
}


def vector_table(case: dict[str, Any]) -> str:
    """The table of a size of vectors."""
    rows: dict[str, list[str]] = {}
    for name, rounds in case["rounds"].items():
        for what, value in rounds[-1].items():
            base = None if name == "ours" else [r[what] for r in case["rounds"]["ours"]]
            if what == "right":
                cell = f"{value} of {PROBES}"
            elif isinstance(value, dict):
                cell = " → ".join(map(str, value.values()))
            else:
                cell = value if isinstance(value, str) else spread([r[what] for r in rounds], base)
            rows.setdefault(what, []).append(cell)
    return markdown([f"{case['vectors']:,} × {case['dimensions']}", *case["rounds"]], rows)


def markdown(head: Sequence[str], rows: dict[str, list[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *([row, *cells] for row, cells in rows.items())]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def versions(pythons: dict[str, Path]) -> dict[str, Any]:
    """What is installed where."""
    code = (
        "import importlib.metadata as m; print(*sorted(f'{d.name}=={d.version}' for d in m.distributions()), sep='\\n')"
    )
    return {name: finish(start([python, "-c", code])).split() for name, python in pythons.items()}


def prepare(peers: Path, out: Path) -> tuple[list[Tool], dict[str, Path]]:
    """The tools that are installed, and the interpreter of each."""
    pythons = {"ours": Path(sys.executable)}
    for name in ("deepface", "face_recognition", "milvus-lite"):
        python = peers / name / "bin" / "python"
        if python.exists():
            pythons[name] = python
        else:
            print(f"{name} is left out: there is no {python}; this file's first lines say how to install it")
    photos = out / "photos"
    tools: list[Tool] = [Ours("ours", out / "ours", photos)]
    if python := pythons.get("deepface"):
        weights = out / "deepface-home" / ".deepface" / "weights"
        weights.mkdir(parents=True)
        models = next(python.parent.parent.glob("lib/python3*/site-packages/face_recognition_models/models"))
        for name in WEIGHTS:
            shutil.copy(models / name, weights)  # where it would download them to
        os.environ["DEEPFACE_HOME"] = str(out / "deepface-home")
        for detector in ("opencv", "dlib"):
            home = out / f"deepface-{detector}"
            tools.append(Deepface(f"deepface, {detector}", home, photos, python, detector))
    if python := pythons.get("face_recognition"):
        tools.append(FaceRecognition("face_recognition, library", out / "fr", photos, python))
        tools.append(FaceRecognitionCommand("face_recognition, command", out / "fr-command", photos, python))
    return tools, pythons


def main() -> None:
    """Measure and print."""
    if sys.argv[1:2] == ["--worker"]:
        workers = {f.__name__: f for f in (ours_remove, deepface_find, fr, vectors_of)}
        workers[sys.argv[2]](*sys.argv[3:])
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", type=Path)
    parser.add_argument("out", type=Path, help="a folder that is not there yet")
    arguments = parser.parse_args()
    peers, out = arguments.peers.resolve(), arguments.out.resolve()
    out.mkdir()
    who = draw(Path(os.environ["FACEREC_DATA"]), out / "photos")
    tools, pythons = prepare(peers, out)
    result: dict[str, Any] = {"seed": SEED, "rounds": ROUNDS, "cores": os.cpu_count(), "load_before": os.getloadavg()}
    result["photos"] = measure_photos(tools, who)
    result["vectors"] = measure_vectors({k: v for k, v in pythons.items() if k in BACKENDS}, out)
    result |= {"load_after": os.getloadavg(), "python": sys.version.split()[0], "versions": versions(pythons)}
    place = Path(__file__).with_suffix(".json")
    place.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print("\n\n".join([photo_table(result["photos"]), *map(vector_table, result["vectors"])]))


if __name__ == "__main__":
    main()
