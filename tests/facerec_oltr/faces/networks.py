"""Tiny networks of the same form as the real ones: a face is a bright spot, and an embedding a few weighted means."""

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

STRIDES = (8, 16, 32)
POINTS = np.array([[-1, -1], [1, -1], [0, 0], [-0.75, 1], [0.75, 1]])  # around a spot's middle, in strides of 8
HALF = 2.0  # of a spot's box, in strides of 8


def _model(nodes: list, inputs: list, outputs: list, weights: dict[str, np.ndarray], **facts: str) -> bytes:
    graph = helper.make_graph(
        nodes, "tiny", inputs, outputs, [numpy_helper.from_array(value, name) for name, value in weights.items()]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if facts:
        helper.set_model_props(model, facts)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def embedder(
    size: int = 112,
    dimensions: int = 8,
    *,
    batch: int | str = "batch",
    first: Sequence[str] = (),
    outputs: int = 1,
    nodes_named: str = "node",
    **facts: str,
) -> bytes:
    """A network that embeds: 4 × 4 means of each colour, times random weights."""
    rng = np.random.default_rng(0)
    weights = {
        "w": rng.normal(size=(48, dimensions)).astype(np.float32),
        "b": rng.normal(size=dimensions).astype(np.float32),
        "half": np.float32(127.5).reshape(1),
        "scale": np.float32(1 / 127.5).reshape(1),
    }
    nodes, last = [], "pixels"
    for kind, name, by in zip(("Sub", "Mul"), first, ("half", "scale"), strict=False):
        nodes.append(helper.make_node(kind, [last, by], [f"{last}_"], name=name))
        last = f"{last}_"
    nodes += [
        helper.make_node("AveragePool", [last], ["means"], kernel_shape=[size // 4] * 2, strides=[size // 4] * 2),
        helper.make_node("Flatten", ["means"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "b"], ["vector"]),
    ]
    nodes += [helper.make_node("Identity", ["vector"], [f"vector{n}"]) for n in range(1, outputs)]
    for number, node in enumerate(nodes):
        node.name = node.name or f"{nodes_named}_{number}"
    names = ["vector", *(f"vector{n}" for n in range(1, outputs))]
    return _model(
        nodes,
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [batch, 3, size, size])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, dimensions]) for name in names],
        weights,
        **facts,
    )


def by_hand(pixels: np.ndarray, size: int = 112, dimensions: int = 8) -> np.ndarray:
    """What the network above gives for (N, 3, size, size), at unit length."""
    rng = np.random.default_rng(0)
    w, b = rng.normal(size=(48, dimensions)).astype(np.float32), rng.normal(size=dimensions).astype(np.float32)
    means = pixels.reshape(len(pixels), 3, 4, size // 4, 4, size // 4).mean(axis=(3, 5)).reshape(len(pixels), 48)
    vectors = means @ w + b
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


class _Detector:
    """The parts of a graph that finds cells brighter than others, at the first stride; nothing at the others."""

    def __init__(self) -> None:
        self.nodes: list = []
        self.outputs: list = []
        self.weights: dict[str, np.ndarray] = {}

    def cells(self, stride: int) -> str:
        name = f"cells_{stride}"
        self.nodes.append(
            helper.make_node("AveragePool", ["input"], [name], kernel_shape=[stride] * 2, strides=[stride] * 2)
        )
        return name

    def output(
        self, cells: str, name: str, gain: float, bias: np.ndarray, width: int, shape: list, *, squash: bool
    ) -> None:
        """A 1 × 1 convolution, and its channels as the rows of `width` numbers that detectors give."""
        self.weights |= {
            f"{name}_w": np.full((len(bias), 3, 1, 1), gain / 3, np.float32),
            f"{name}_b": bias.astype(np.float32),
            f"{name}_s": np.array([*shape[:-2], -1, width], np.int64),
        }
        self.nodes.append(
            helper.make_node("Conv", [cells, f"{name}_w", f"{name}_b"], [f"{name}_c"], kernel_shape=[1, 1])
        )
        if squash:
            self.nodes.append(helper.make_node("Sigmoid", [f"{name}_c"], [f"{name}_q"]))
        last = f"{name}_q" if squash else f"{name}_c"
        self.nodes.append(helper.make_node("Transpose", [last], [f"{name}_t"], perm=[0, 2, 3, 1]))
        self.nodes.append(helper.make_node("Reshape", [f"{name}_t", f"{name}_s"], [name]))
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def model(self, sides: Sequence[int | str]) -> bytes:
        pixels = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, *sides])
        return _model(self.nodes, [pixels], self.outputs, self.weights)


def scrfd(*, points: bool = True, sides: Sequence[int | str] = ("height", "width")) -> bytes:
    """SCRFD's form: scores, then boxes, then points, of three strides, two anchors a cell; pixels (x - 127.5) / 128."""
    net = _Detector()
    cells = {stride: net.cells(stride) for stride in STRIDES}
    for stride in STRIDES:  # sure of itself from a mean of 0.75 × 255 on; the second anchor never is
        bias = np.array([-20.0 if stride == 8 else -99.0, -99.0])
        net.output(cells[stride], f"score_{stride}", 40.0, bias, 1, [f"n{stride}", 1], squash=True)
    for stride in STRIDES:
        net.output(cells[stride], f"bbox_{stride}", 0.0, np.full(8, HALF), 4, [f"n{stride}", 4], squash=False)
    for stride in STRIDES if points else ():
        net.output(
            cells[stride], f"kps_{stride}", 0.0, np.tile(POINTS.ravel(), 2), 10, [f"n{stride}", 10], squash=False
        )
    return net.model(sides)


def yunet(*, sides: Sequence[int | str] = ("height", "width")) -> bytes:
    """YuNet's form: class, object, box, points of three strides; pixels as they are."""
    net = _Detector()
    cells = {stride: net.cells(stride) for stride in STRIDES}
    box = np.array([0, 0, np.log(2 * HALF), np.log(2 * HALF)])
    for name, gain, width, squash in (
        ("cls", 0.3, 1, True),
        ("obj", 0.3, 1, True),
        ("bbox", 0, 4, False),
        ("kps", 0, 10, False),
    ):
        for stride in STRIDES:
            bias = {"bbox": box, "kps": POINTS.ravel()}.get(name, np.array([-0.3 * 200.0 if stride == 8 else -199.0]))
            net.output(cells[stride], f"{name}_{stride}", gain, bias, width, [1, f"n{stride}", width], squash=squash)
    return net.model(sides)
