"""List every message that users see, read from the source: errors, requirements, help texts, log lines.

python docs/list_messages.py            # a line for each: place, kind, text
python docs/list_messages.py error help # only these kinds

Parts that are computed at run time are shown as {expression}.
"""

import argparse
import ast
import dataclasses
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "shiftnet_tf"
KINDS = ("error", "must", "help", "log")
LOG_METHODS = {"info", "warning", "error", "exception"}
CHECKS = {"check": 3, "_check": 2}  # position of the requirement among the arguments


@dataclasses.dataclass(frozen=True)
class Message:
    """A text in the source.

    Attributes:
        place: file and line, such as `shiftnet_tf/errors.py:12`.
        kind: `error`; `must`, the requirement of a `check` call; `help`; or `log`.
        text: with {expression} for each part that is computed at run time.
    """

    place: str
    kind: str
    text: str


def list_messages(package: Path = PACKAGE) -> list[Message]:
    """Return the messages of all modules of a package, in the order of files and lines."""
    messages = []
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            for kind, value in _texts(node):
                text = render(value)
                if text:
                    place = f"{path.relative_to(package.parent).as_posix()}:{value.lineno}"
                    messages.append(Message(place, kind, text))
    return messages


def _texts(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yield kind and expression of each message that a node holds."""
    if not isinstance(node, ast.Call):
        return
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    owner = getattr(node.func.value, "id", "") if isinstance(node.func, ast.Attribute) else ""
    if name.endswith("Error") and node.args:
        yield from (("error", argument) for argument in node.args)
    elif name in CHECKS and len(node.args) > CHECKS[name]:
        yield "must", node.args[CHECKS[name]]
    elif owner == "logger" and name in LOG_METHODS:
        yield "log", node.args[0]
    yield from (("help", keyword.value) for keyword in node.keywords if keyword.arg == "help")
    if name == "field" and isinstance(metadata := {k.arg: k.value for k in node.keywords}.get("metadata"), ast.Dict):
        keys = [getattr(key, "value", None) for key in metadata.keys]
        yield from (("help", value) for key, value in zip(keys, metadata.values) if key == "help")
    if name in ("Subcommand", "Group") and node.args:
        yield "help", node.args[0]


def render(node: ast.expr) -> str:
    """Return the text of a string expression, or "" for any other expression."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(
            part.value if isinstance(part, ast.Constant) else "{" + ast.unparse(part.value) + "}"
            for part in node.values
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts = [render(side) or "{" + ast.unparse(side) + "}" for side in (node.left, node.right)]
        return "".join(parts) if render(node.left) or render(node.right) else ""
    if isinstance(node, ast.IfExp):
        return render(node.body)
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(description="List every message that users see.")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"list these: {', '.join(KINDS)} (default: all)")
    kinds = parser.parse_args().kinds or KINDS
    for message in list_messages():
        if message.kind in kinds:
            print(f"{message.place}\t{message.kind}\t{message.text}")


if __name__ == "__main__":
    main()
