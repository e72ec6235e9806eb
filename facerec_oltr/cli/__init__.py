"""The command line `facerec`: one file a command group, each a thin door to the library.

Data goes to stdout, words and progress to stderr. A command imports what it needs when it runs, so that `--help`
answers at once.
"""

import os
from typing import NoReturn

import typer

from facerec_oltr.cli import data, gallery, protocol
from facerec_oltr.cli.bench import bench
from facerec_oltr.cli.calibrate import calibrate
from facerec_oltr.cli.compare import compare
from facerec_oltr.cli.demo import demo
from facerec_oltr.cli.enroll import enroll
from facerec_oltr.cli.evaluate import evaluate
from facerec_oltr.cli.evaluate_faces import evaluate_faces
from facerec_oltr.cli.evaluate_pairs import evaluate_pairs
from facerec_oltr.cli.export import export
from facerec_oltr.cli.identify import identify, search, verify
from facerec_oltr.cli.import_authors import import_authors
from facerec_oltr.cli.report import report
from facerec_oltr.cli.train import train
from facerec_oltr.errors import FaceRecError
from recordio_tools import door
from recordio_tools.errors import RecordIOError

app = typer.Typer(
    name="facerec",
    help="Face recognition in an open world: train on a long tail, enrol people, identify them, reject strangers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command(epilog="Example: facerec demo --out demo")(demo)
app.command(epilog="Example: facerec train oltr --on att_lt --out demo/run")(train)
app.command(
    name="import-authors",
    epilog="Example: facerec import-authors final_model_checkpoint.pth --on imagenet_lt --out runs/published "
    "--set data.root=/data/imagenet",
)(import_authors)
app.add_typer(data.app, name="data")
app.add_typer(protocol.app, name="protocol")
app.command(epilog="Example: facerec enroll --gallery demo/gallery.db --model demo/run photos/")(enroll)
app.command(epilog="Example: facerec calibrate --gallery demo/gallery.db --strangers strangers/ --fpir 0.01")(calibrate)
app.command(epilog="Example: facerec identify --gallery demo/gallery.db visitor.jpg")(identify)
app.command(epilog="Example: facerec verify one.jpg other.jpg --gallery demo/gallery.db")(verify)
app.command(epilog="Example: facerec search --gallery demo/gallery.db visitor.jpg --top 10")(search)
app.add_typer(gallery.app, name="gallery")
app.command(epilog="Example: facerec export demo/run demo/model.onnx --embedding meta")(export)
app.command(epilog="Example: facerec evaluate runs/plain-0 runs/oltr-0")(evaluate)
app.command(epilog="Example: facerec compare runs/* --out table.md")(compare)
app.command(
    epilog="Example: facerec evaluate-faces --model demo/run --model dlib --faces demo/faces "
    "--open demo/faces-lt/manifest.json --out result.json"
)(evaluate_faces)
app.command(epilog="Example: facerec evaluate-pairs lfw.bin cfp_fp.bin --model demo/run --model dlib")(evaluate_pairs)
app.command(
    epilog="Example: facerec bench lfw_gb --images lfw/ --model demo/run --scores cosine,centroid --out bench/"
)(bench)
app.command(epilog="Example: facerec report bench/ --out report.html --no-faces")(report)


def main() -> NoReturn:
    """Run the command line on the process's arguments; expected errors are one line and exit code 1."""
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")  # a broken image is told once, by us
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # so is a lost connection
    door.run(app, FaceRecError, RecordIOError)
