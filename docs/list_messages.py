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

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("shiftnet_tf", "training", "export", "benchmarks", "docs")
KINDS = ("error", "must", "help", "text", "log")
LOG_METHODS = {"info", "warning", "error", "exception"}
LOG_FUNCTIONS = {"log": 0, "tell": 0, "say": 0, "_say": 1}  # position of the text among the arguments
REQUIREMENT = 3  # its position among the arguments of `check`


@dataclasses.dataclass(frozen=True)
class Message:
    """A text in the source.

    Attributes:
        place: file and line, such as `shiftnet_tf/errors.py:12`.
        kind: `error`; `must`, the requirement of a `check` call; `help`; `text`, a title or a description; or `log`.
        text: with {expression} for each part that is computed at run time.
    """

    place: str
    kind: str
    text: str


def list_messages() -> list[Message]:
    """Return the messages of the package and the scripts, in the order of files and lines."""
    messages = []
    for path in (path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))):
        tree = ast.parse(path.read_text("utf-8"))
        names = _assigned(tree)
        for kind, value in (found for node in ast.walk(tree) for found in _texts(node)):
            for part in _alternatives(value, names):
                if text := render(part):
                    place = f"{path.relative_to(ROOT).as_posix()}:{part.lineno}"
                    messages.append(Message(place, kind, text))
    return list(dict.fromkeys(messages))


def _assigned(tree: ast.AST) -> dict[str, list[ast.expr]]:
    """Return the expressions that are assigned to each name of a module, in whichever function."""
    names: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            names.setdefault(node.targets[0].id, []).append(node.value)
    return names


def _alternatives(value: ast.expr, names: dict[str, list[ast.expr]]) -> Iterator[ast.expr]:
    """Yield the expressions that a message may be: both of a conditional one, all that are assigned to a name."""
    if isinstance(value, ast.IfExp):
        for branch in (value.body, value.orelse):
            yield from _alternatives(branch, names)
    elif isinstance(value, ast.Name):
        yield from names.get(value.id, ())
    else:
        yield value


def _texts(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yield kind and expression of each message that a node holds."""
    if not isinstance(node, ast.Call):
        return
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    owner = getattr(node.func.value, "id", "") if isinstance(node.func, ast.Attribute) else ""
    if name.endswith("Error") and node.args:
        yield from (("error", argument) for argument in node.args)
    elif name == "check" and len(node.args) > REQUIREMENT and not _is_of_provider(node):
        yield "must", node.args[REQUIREMENT]
    elif owner.endswith("logger") and name in LOG_METHODS:
        yield "log", node.args[0]
    elif name in LOG_FUNCTIONS and len(node.args) > LOG_FUNCTIONS[name]:
        yield "log", node.args[LOG_FUNCTIONS[name]]
    elif name == "add_argument_group":
        yield "text", node.args[0]
    kinds = {"help": "help", "description": "text"}
    yield from ((kinds[keyword.arg], keyword.value) for keyword in node.keywords if keyword.arg in kinds)
    if name == "field" and isinstance(metadata := {k.arg: k.value for k in node.keywords}.get("metadata"), ast.Dict):
        keys = [getattr(key, "value", None) for key in metadata.keys]
        yield from (("help", value) for key, value in zip(keys, metadata.values) if key == "help")
    if name in ("Subcommand", "Group") and node.args:
        yield "help", node.args[0]


def _is_of_provider(node: ast.Call) -> bool:
    """Tell whether a call is one of `runtime.providers.check`, which has other arguments than `errors.check`."""
    return ast.unparse(node.args[0]) == "provider" and ast.unparse(node.args[2]) == "require_gpu"


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
