"""The parser: an LALR(1) automaton over the tokens of a file, with recovery.

After a syntax error the block around it is left out and reading resumes at the
next declaration (see `recovery`), so one mistake gives one report and hides
nothing in other blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from routec.dsl import ast
from routec.dsl.builder import Builder, forbidden_character
from routec.dsl.diagnostic import Diagnostic
from routec.dsl.lexer import FORBIDDEN, Lexed, lex
from routec.dsl.messages import describe_error
from routec.dsl.recovery import broken_name, resume_at, starts_afresh
from routec.dsl.source import Source
from routec.dsl.syntax_error import syntax_error
from routec.dsl.table import END, IDENT, NESTING, Production, Table, load_table

MAX_DEPTH = 100
"""Levels that brackets, ``not`` and ``implies`` may nest."""

MAX_SIZE = 16 * 1024 * 1024
"""Bytes of a file, and code points of a text, that are read."""

MAX_ERRORS = 1000
"""Syntax errors after which the rest of a file is left unread."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """What was read of one file.

    Attributes:
        module: the declarations that could be read, and all comments.
        diagnostics: one or more for each broken block, in the order of the file.
        broken: names of the declarations left out because of an error in them, so that
            a later stage does not call them unknown.
    """

    module: ast.Module
    diagnostics: tuple[Diagnostic, ...]
    broken: tuple[ast.Ident, ...] = ()


def parse(source: Source) -> Parsed:
    """Read a policy. Never raises, whatever the text."""
    if len(source.text) > MAX_SIZE:
        problem = too_large(source.name)
        return Parsed(ast.Module(source.span(0, 0), (), ()), (problem,))
    lexed = lex(source.text)
    builder = Builder(source, forbidden=lexed.forbidden)
    problems = _run(load_table(), source, lexed, builder)
    problems += builder.problems
    comments = []
    for start, end in lexed.comments:
        comments.append(ast.Comment(source.span(start, end), source.text[start + 1 : end]))
        if lexed.forbidden and (match := FORBIDDEN.search(source.text, start, end)):
            problems.append(forbidden_character(source, match.start()))
    problems.sort(key=lambda problem: problem.span.start)
    module = ast.Module(
        source.span(0, len(source.text)), tuple(builder.declarations), tuple(comments)
    )
    return Parsed(module, tuple(problems), tuple(builder.broken))


def too_large(name: str) -> Diagnostic:
    """The finding about a file beyond `MAX_SIZE`."""
    return syntax_error(
        f"the file is larger than {MAX_SIZE // (1024 * 1024)} MiB",
        Source(name, "").span(0, 0),
        "split it, and put the parts together with `import`",
    )


def _run(table: Table, source: Source, lexed: Lexed, builder: Builder) -> list[Diagnostic]:
    """Feed all tokens to the automaton; the builder collects what is recognised."""
    rows, productions, soft = table.rows, table.productions, table.soft
    tokens, leaves = lexed.tokens, builder.leaves
    methods = [
        getattr(builder, production.build) if production.build else None
        for production in productions
    ]
    between = {state for state, row in enumerate(rows) if row.get("LET", -1) >= 0}
    problems: list[Diagnostic] = []
    index = first = depth = 0
    stack = _Stack(table.start)
    states, values, starts, ends = stack.states, stack.values, stack.starts, stack.ends
    while True:
        token = tokens[index]
        kind, start, end = token
        action = rows[states[-1]].get(kind)
        if action is None and kind in soft:
            kind = IDENT
            action = rows[states[-1]].get(kind)
        while action is not None and action < 0:
            production = productions[-1 - action]
            depth -= production.nesting
            target = stack.reduce(production, methods[-1 - action], rows, start)
            if target == table.accept:
                return problems
            action = rows[target].get(kind)
        if states[-1] in between:
            first = index
        if action is not None:
            depth += kind in NESTING
            if depth <= MAX_DEPTH:
                leaf = leaves.get(kind)
                states.append(action)
                values.append(leaf(token) if leaf else token)
                starts.append(start)
                ends.append(end)
                index += 1
                continue
        if len(problems) == MAX_ERRORS:
            message = f"more than {MAX_ERRORS} syntax errors; the rest of the file was not read"
            problems.append(syntax_error(message, source.span(start, end)))
            return problems
        if action is not None:
            place = source.span(start, end)
            problems.append(
                syntax_error(
                    f"nested more than {MAX_DEPTH} levels deep",
                    place,
                    "give the inner parts names with `let`",
                )
            )
        else:
            if (
                first < index
                and starts_afresh(source.text, tokens, index)
                and _accepts(table, states, END)
            ):
                _finish(table, methods, stack, start)
                first = index
            expected = {kind for kind in rows[states[-1]] if _accepts(table, states, kind)}
            problems.append(describe_error(source, tokens, first, index, expected))
        builder.abandon()
        builder.broken += broken_name(source, tokens, first)
        index = resume_at(source.text, tokens, first, index)
        first, depth = index, 0
        stack.reset()


class _Stack:
    """The automaton's stack: states, and for each symbol its value and offsets.

    After a syntax error it starts over; the declarations are with the builder.
    """

    __slots__ = ("ends", "start", "starts", "states", "values")

    def __init__(self, start: int) -> None:
        self.start = start
        self.states = [start]
        self.values: list[Any] = []
        self.starts: list[int] = []
        self.ends: list[int] = []

    def reset(self) -> None:
        self.states[:] = [self.start]
        del self.values[:], self.starts[:], self.ends[:]

    def reduce(
        self,
        production: Production,
        method: Callable[[list[Any], int, int], object] | None,
        rows: tuple[dict[str, int], ...],
        at: int,
    ) -> int:
        """Replace the symbols of a recognised rule by its node; returns the next state."""
        states, size = self.states, production.size
        if production.passes:
            states[-1] = target = rows[states[-2]][production.origin]
            return target
        children: list[Any]
        if size:
            symbols = self.values[-size:]
            start, end = self.starts[-size], self.ends[-1]
            del self.values[-size:], self.starts[-size:], self.ends[-size:], states[-size:]
            children = []
            for position, splice in production.children:
                if position < 0:
                    children.append(None)
                elif not splice:
                    children.append(symbols[position])
                elif children:
                    children += symbols[position]
                else:  # reuse the list, or long lists would take quadratic time
                    children = symbols[position]
        else:
            children, start, end = [], at, at
        if production.unwrap and len(children) == 1:
            value = children[0]
        elif method is None:
            value = children
        else:
            value = method(children, start, end)
        target = rows[states[-1]][production.origin]
        states.append(target)
        self.values.append(value)
        self.starts.append(start)
        self.ends.append(end)
        return target


def _accepts(table: Table, states: list[int], kind: str) -> bool:
    """Whether a token of this kind could come next."""
    states = list(states)
    while (action := table.rows[states[-1]].get(kind)) is not None:
        if action >= 0:
            return kind.isupper()
        production = table.productions[-1 - action]
        if production.size:
            del states[-production.size :]
        states.append(table.rows[states[-1]][production.origin])
        if states[-1] == table.accept:
            return True
    return False


def _finish(table: Table, methods: list[Any], stack: _Stack, at: int) -> None:
    """Recognise the declaration on the stack, as at the end of the file, and empty the stack."""
    origin = ""
    while origin != "declaration":
        number = -1 - table.rows[stack.states[-1]][END]
        origin = table.productions[number].origin
        stack.reduce(table.productions[number], methods[number], table.rows, at)
    stack.reset()
