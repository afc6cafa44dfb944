"""A BERT encoder as an ONNX graph, built from its weights.

The graph takes ``input_ids`` (n, s), int64, every row a whole text of the same s tokens, and
gives ``hidden`` (n, s, width), float32, the last hidden states. Rows of one length need no
padding and so no mask: what a text gives cannot depend on the texts beside it.

Sources: Devlin et al. 2019, "BERT" (the encoder); Dettmers et al. 2022, "LLM.int8()", section 2
(one scale for each row of the activations and each column of the weights). That choice keeps
int8 independent of the batch too: the usual dynamic quantisation takes one scale from the whole
batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from routec.safety.models.errors import ModelError
from routec.safety.models.spec import Quantisation, Shape

OPSET: Final = 20
IR_VERSION: Final = 9

Tensors = Mapping[str, NDArray[Any]]


@dataclass(slots=True)
class _Graph:
    """Nodes and constants collected while the graph grows; every method returns a name."""

    quantisation: Quantisation
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def constant(self, name: str, value: NDArray[Any]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], output, **attributes))
        return output

    def dense(
        self, x: str, weight: NDArray[np.float32], bias: NDArray[np.float32], name: str
    ) -> str:
        """``x @ weight + bias``, with weight (inputs, outputs)."""
        if self.quantisation == "int8":
            product = self._int8_product(x, weight, name)
        else:
            product = self.node(
                "MatMul", [x, self.constant(f"{name}.weight", weight)], f"{name}.product"
            )
        return self.node("Add", [product, self.constant(f"{name}.bias", bias)], name)

    def _int8_product(self, x: str, weight: NDArray[np.float32], name: str) -> str:
        columns = np.maximum(np.abs(weight).max(axis=0), 1e-12) / np.float32(127)
        packed = np.rint(weight / columns).astype(np.int8)
        largest = self.node(
            "ReduceMax",
            [self.node("Abs", [x], f"{name}.abs"), "last_axis"],
            f"{name}.largest",
            keepdims=1,
        )
        safe = self.node("Max", [largest, "tiny"], f"{name}.safe")
        rows = self.node("Div", [safe, "steps"], f"{name}.rows")
        scaled = self.node("Div", [x, rows], f"{name}.scaled")
        shifted = self.node(
            "Add", [self.node("Round", [scaled], f"{name}.rounded"), "shift"], f"{name}.shifted"
        )
        codes = self.node("Cast", [shifted], f"{name}.codes", to=TensorProto.UINT8)
        sums = self.node(
            "MatMulInteger",
            [codes, self.constant(f"{name}.int8", packed), "shift_u8"],
            f"{name}.sums",
        )
        real = self.node("Cast", [sums], f"{name}.real", to=TensorProto.FLOAT)
        # Two products, not one with both scales: onnxruntime fuses that shape into an operator
        # that takes a single scale for all rows, and gives wrong numbers.
        across = self.node(
            "Mul",
            [real, self.constant(f"{name}.columns", columns.astype(np.float32))],
            f"{name}.across",
        )
        return self.node("Mul", [across, rows], f"{name}.product")

    def norm(self, x: str, tensors: Tensors, key: str, epsilon: float, name: str) -> str:
        return self.node(
            "LayerNormalization",
            [
                x,
                self.constant(f"{name}.weight", tensors[f"{key}.weight"]),
                self.constant(f"{name}.bias", tensors[f"{key}.bias"]),
            ],
            name,
            axis=-1,
            epsilon=epsilon,
        )


def build_bert(tensors: Tensors, shape: Shape, quantisation: Quantisation) -> bytes:
    """The serialised ONNX model of a BERT encoder.

    Args:
        tensors: the weights under their usual names (``embeddings.word_embeddings.weight``, …).
        shape: layers, heads and the norm's epsilon.
        quantisation: ``fp32``, or ``int8`` for the matrix products (embedding tables stay fp32).

    Raises:
        ModelError: code ``bad-weights``, when a tensor is missing or two do not fit together.
    """
    try:
        graph, width = _encoder(tensors, shape, quantisation)
    except (KeyError, ValueError) as error:
        raise ModelError(
            "bad-weights",
            f"these are not the weights of a BERT encoder: {error}",
            "take the files of the model that the command names",
        ) from None
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "bert",
            [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["n", "s"])],
            [helper.make_tensor_value_info("hidden", TensorProto.FLOAT, ["n", "s", width])],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="routec",
    )
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _encoder(tensors: Tensors, shape: Shape, quantisation: Quantisation) -> tuple[_Graph, int]:
    words = tensors["embeddings.word_embeddings.weight"]
    width = int(words.shape[1])
    if width % shape.heads:
        raise ValueError(f"{shape.heads} heads do not divide a width of {width}")
    graph = _Graph(quantisation)
    if quantisation == "int8":
        graph.constant("last_axis", np.array([-1], np.int64))
        graph.constant("tiny", np.array(1e-12, np.float32))
        graph.constant("steps", np.array(127, np.float32))
        graph.constant("shift", np.array(128, np.float32))
        graph.constant("shift_u8", np.array(128, np.uint8))
    graph.constant("split_heads", np.array([0, 0, shape.heads, width // shape.heads], np.int64))
    graph.constant("join_heads", np.array([0, 0, width], np.int64))
    x = _embeddings(graph, tensors, words, shape)
    for index in range(shape.layers):
        output = "hidden" if index == shape.layers - 1 else f"layer{index}"
        x = _layer(graph, tensors, index, x, output, width, shape)
    return graph, width


def _embeddings(graph: _Graph, tensors: Tensors, words: NDArray[Any], shape: Shape) -> str:
    # A single-segment text only ever uses token type 0, so that row is added to the positions.
    places = (
        tensors["embeddings.position_embeddings.weight"]
        + tensors["embeddings.token_type_embeddings.weight"][0]
    )
    word = graph.node(
        "Gather", [graph.constant("words", words), "input_ids"], "word_vectors", axis=0
    )
    # Slicing the table, not gathering a Range: onnxruntime fuses Range and Gather into a Slice
    # whose scalar bounds it then refuses.
    graph.node("Shape", ["input_ids"], "tokens", start=1, end=2)
    place = graph.node(
        "Slice",
        [
            graph.constant("places", places),
            graph.constant("zero", np.array([0], np.int64)),
            "tokens",
            "zero",
        ],
        "place_vectors",
    )
    total = graph.node("Add", [word, place], "embedded")
    return graph.norm(total, tensors, "embeddings.LayerNorm", shape.epsilon, "embedded.norm")


def _layer(
    graph: _Graph, tensors: Tensors, index: int, x: str, output: str, width: int, shape: Shape
) -> str:
    key, name = f"encoder.layer.{index}", f"layer{index}"

    def weight(part: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        return tensors[f"{key}.{part}.weight"].T, tensors[f"{key}.{part}.bias"]

    # The scale of the dot products is folded into the query, and the three products into one.
    scale = np.float32(1 / np.sqrt(width // shape.heads))
    query, query_bias = weight("attention.self.query")
    keys, keys_bias = weight("attention.self.key")
    values, values_bias = weight("attention.self.value")
    joined = graph.dense(
        x,
        np.concatenate([query * scale, keys, values], axis=1),
        np.concatenate([query_bias * scale, keys_bias, values_bias]),
        f"{name}.qkv",
    )
    parts = [f"{name}.{part}" for part in ("query", "key", "value")]
    graph.nodes.append(
        helper.make_node("Split", [joined], parts, f"{name}.split", axis=-1, num_outputs=3)
    )
    split = [graph.node("Reshape", [part, "split_heads"], f"{part}.split") for part in parts]
    q = graph.node("Transpose", [split[0]], f"{name}.q", perm=[0, 2, 1, 3])
    k = graph.node("Transpose", [split[1]], f"{name}.k", perm=[0, 2, 3, 1])
    v = graph.node("Transpose", [split[2]], f"{name}.v", perm=[0, 2, 1, 3])
    weights = graph.node(
        "Softmax", [graph.node("MatMul", [q, k], f"{name}.dots")], f"{name}.attention", axis=-1
    )
    mixed = graph.node("MatMul", [weights, v], f"{name}.mixed")
    ordered = graph.node("Transpose", [mixed], f"{name}.ordered", perm=[0, 2, 1, 3])
    context = graph.node("Reshape", [ordered, "join_heads"], f"{name}.context")
    attended = graph.dense(context, *weight("attention.output.dense"), f"{name}.attended")
    middle = graph.norm(
        graph.node("Add", [attended, x], f"{name}.attended.sum"),
        tensors,
        f"{key}.attention.output.LayerNorm",
        shape.epsilon,
        f"{name}.attended.norm",
    )
    wide = graph.dense(middle, *weight("intermediate.dense"), f"{name}.wide")
    active = graph.node("Gelu", [wide], f"{name}.active")
    narrow = graph.dense(active, *weight("output.dense"), f"{name}.narrow")
    return graph.norm(
        graph.node("Add", [narrow, middle], f"{name}.sum"),
        tensors,
        f"{key}.output.LayerNorm",
        shape.epsilon,
        output,
    )
