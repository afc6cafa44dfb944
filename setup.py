"""The compiled modules; all else about the package is in pyproject.toml, which knows no globs."""

from glob import glob

from setuptools import Extension, setup


def compiled(name: str, source: str, *headers: str) -> Extension:
    """A module of C++ for this Python, built again when it, a header or this file changes."""
    return Extension(
        name,
        [source],
        depends=["setup.py", *headers],
        language="c++",
        # Fused multiplications would round other than Python does.
        extra_compile_args=[
            "-std=c++17",
            "-O3",
            "-Wall",
            "-Wextra",
            "-fvisibility=hidden",
            "-ffp-contract=off",
        ],
    )


setup(
    ext_modules=[
        compiled("routec.safety._ordinary", "safety/_ordinary.cpp"),
        compiled("routec.safety._tokens", "safety/_tokens.cpp"),
        compiled(
            "routec.runtime.native._native",
            "runtime/native/module.cpp",
            *sorted(glob("runtime/native/*.hpp")),
        ),
    ]
)
