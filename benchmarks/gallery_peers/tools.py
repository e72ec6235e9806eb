"""The tools: each has a folder ``home``, where everything that it keeps lies."""

import json
import pickle
import shutil
import sqlite3
import subprocess
import sys
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.gallery_peers.answers import Answers, Named, in_order, person_of
from benchmarks.gallery_peers.processes import finish, start, worker

FPIR = 0.01


class Tool(ABC):
    """What a user does with any of them. Every method starts the processes that the user would start."""

    def __init__(self, name: str, home: Path, photos: Path) -> None:
        self.name, self.home, self.photos = name, home, photos

    @abstractmethod
    def enrol(self, people: Path) -> None:
        """Enrol a folder of one folder a person into an empty home."""

    @abstractmethod
    def identify(self, folder: Path) -> Answers:
        """Answer all photos of a folder."""


class Keeping(Tool):
    """One that keeps something between two commands."""

    @abstractmethod
    def add(self, person: str) -> "subprocess.Popen[str]":
        """Begin to add one more person."""

    @abstractmethod
    def remove(self, person: str) -> None:
        """Remove somebody."""

    @abstractmethod
    def vectors(self) -> dict[str, list[bytes]]:
        """What it has kept of everybody, as it lies in its files."""


class Ours(Keeping):
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
        named: Named = {}
        for face in json.loads(finish(facerec("identify", "--gallery", self.gallery, "--json", folder))):
            photo, decision = Path(face["photo"]).name, face["decision"]
            if decision in ("no face", "unreadable"):
                named[photo] = None
            else:
                accepted = [(-face["score"], face["identity"])] if decision == "accepted" else []
                named[photo] = [*(named.get(photo) or ()), *accepted]
        return in_order(named)

    def remove(self, person: str) -> None:  # noqa: D102
        finish(facerec("gallery", "remove", self.gallery, person, "--yes"))

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


class Deepface(Keeping):
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
        return worker(self.python, "deepface_find", self.home, self.detector, folder)


class FaceRecognition(Keeping):
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
        return worker(self.python, "fr", what, self.home / "faces.pickle", argument)


class FaceRecognitionCommand(Tool):
    """The command `face_recognition KNOWN PHOTOS`, which embeds everybody anew each time."""

    def __init__(self, name: str, home: Path, photos: Path, python: Path) -> None:
        super().__init__(name, home, photos)
        self.python = python

    def enrol(self, people: Path) -> None:  # noqa: D102
        for photo in people.rglob("*.jpg"):
            shutil.copy(photo, self.home)

    def identify(self, folder: Path) -> Answers:  # noqa: D102
        command = [self.python.with_name("face_recognition"), "--show-distance", "True", self.home, folder]
        named: Named = {}
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
