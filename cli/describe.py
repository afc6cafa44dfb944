"""A program's conditions and values in the words of the language."""

from __future__ import annotations

from routec.compiler.program import Node, Program, Variable

_OPERATORS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "is": "=="}
Plain = bool | int | float | str | frozenset[str]


def variable_text(variable: Variable) -> str:
    """A variable as a policy writes it, such as ``topic.legal``."""
    if variable.member is None:
        return variable.name
    member = variable.member
    return f"{variable.name}.{member}" if _is_name(member) else f'{variable.name}["{member}"]'


def condition_text(program: Program, at: int) -> str:
    """The condition at a node as a policy would write it, `let`s written out."""
    return _text(program, program.nodes[at], top=True)


def value_text(value: Plain) -> str:
    """A value as a person reads it; numbers to six significant digits."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, frozenset):
        return "{" + ", ".join(sorted(value)) + "}"
    return str(value)


def _text(program: Program, node: Node, *, top: bool = False) -> str:
    if node.op == "const":
        return "true" if node.value else "false"
    if node.variable is not None:
        return _atom(program, node)
    parts = [program.nodes[at] for at in node.of]
    if node.op == "not":
        inner = _text(program, parts[0])
        return f"not {inner}"
    text = f" {node.op} ".join(_text(program, part) for part in parts)
    return text if top else f"({text})"


def _atom(program: Program, node: Node) -> str:
    assert node.variable is not None
    variable = program.variables[node.variable]
    name = variable_text(variable)
    if node.op == "truth":
        return name
    if node.op == "empty":
        return f"{name}.empty"
    if node.op == "has":
        kinds = next((s.kinds for s in program.signals if s.name == variable.name), ())
        if node.value in kinds:
            return f"{name}.any({node.value})"
        return f'"{node.value}" in {name}'
    if variable.type == "string":
        return f'{name} == "{node.value}"'
    return f"{name} {_OPERATORS[node.op]} {value_text(node.value or 0)}"


def _is_name(text: str) -> bool:
    return text.isascii() and text.isidentifier() and text == text.lower()
