"""Small changes to a source: an operator, a constant, a statement that goes, a branch that is always or never taken."""

from collections.abc import Iterator
from dataclasses import dataclass
import re


@dataclass(frozen=True)
class Change:
    """Line `line` (from 1) of a source becomes `after`."""

    line: int
    before: str
    after: str

    def apply(self, text: str) -> str:
        lines = text.split("\n")
        if lines[self.line - 1] != self.before:
            raise ValueError(f"line {self.line} is not {self.before!r}")
        lines[self.line - 1] = self.after
        return "\n".join(lines)

    def __str__(self) -> str:
        return f"{self.line}: `{self.before.strip()}` -> `{self.after.strip()}`"


_SWAPS = (
    (r" < ", " <= "), (r" <= ", " < "), (r" > ", " >= "), (r" >= ", " > "), (r" == ", " != "), (r" != ", " == "),
    (r" && ", " || "), (r" \|\| ", " && "), (r" \+ ", " - "), (r" - ", " + "), (r" \* ", " / "),
    (r" \+= ", " -= "), (r" -= ", " += "), (r"\+\+(?=\w)", "--"), (r"--(?=\w)", "++"),
    (r"\btrue\b", "false"), (r"\bfalse\b", "true"), (r"\bstd::min\b", "std::max"), (r"\bstd::max\b", "std::min"),
    (r"(?<=[ (])!(?=[\w(])", ""),
)  # fmt: skip
_CONSTANT = re.compile(r"(?<![\w.'])(?:0|[1-9]\d*)(?![\w.'])")
_SKIPPED = re.compile(r"^\s*(?:#|template\b|static_assert\b|using\b|namespace\b|class\b|struct\b|enum\b|friend\b|\}|\{|$)")
_STATEMENT = re.compile(r"^(?:\+\+|--)?[\w:.\->\[\]*+]+(?:\(.*\)|\s[-+|&]?=\s.*)?;$|^[\w:.\->\[\]*+]+\(.*\)\S*;$")
_ONE_WORD_DECLARATION = re.compile(r"^(?:\w+;|public:|private:)$")
_CONDITION = re.compile(r"\b(?:if|while) \(")


def changes_of(text: str) -> Iterator[Change]:
    """In the order of the lines."""
    lines = text.split("\n")
    for index, (line, code) in enumerate(zip(lines, _code_only(text).split("\n"))):
        if _SKIPPED.match(code):
            continue
        seen = {line}
        for after in _changed(line, code):
            if after not in seen:
                seen.add(after)
                yield Change(index + 1, line, after)


def _changed(line: str, code: str) -> Iterator[str]:
    for pattern, new in _SWAPS:
        for match in re.finditer(pattern, code):
            yield line[: match.start()] + new + line[match.end() :]
    for match in _CONSTANT.finditer(code):
        yield line[: match.start()] + str(int(match[0]) + 1) + line[match.end() :]
    for start, end in _conditions(code):
        for value in ("true", "false"):
            yield line[:start] + value + line[end:]
    if _is_statement(code):
        indent = line[: len(line) - len(line.lstrip())]
        yield f"{indent};"
    elif match := re.search(r"^(?P<head>\s*(?:if \(.*\)|else) )(?P<body>\S.*;)$", code):
        yield line[: match.start("body")] + ";"


def _is_statement(code: str) -> bool:
    stripped = code.strip()
    balanced = stripped.count("(") == stripped.count(")")
    if stripped in ("break;", "continue;", "return;"):
        return True
    return balanced and bool(_STATEMENT.match(stripped)) and not _ONE_WORD_DECLARATION.match(stripped)


def _conditions(code: str) -> Iterator[tuple[int, int]]:
    """What stands in the parentheses of an `if` or a `while`, where it ends on the same line."""
    for match in _CONDITION.finditer(code):
        depth = 1
        for at in range(match.end(), len(code)):
            depth += {"(": 1, ")": -1}.get(code[at], 0)
            if depth == 0:
                if ";" not in code[match.end() : at]:
                    yield match.end(), at
                break


def _code_only(text: str) -> str:
    """The text with comments and what is in quotes as blanks; every character keeps its place."""
    blank = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'(?!\w)', re.DOTALL)
    return blank.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
