"""Config files: TOML to `Config` and back. A missing key keeps its default; an unknown one is an error."""

import dataclasses
import json
import os
import tomllib
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from shiftnet_tf.config.run import Config
from shiftnet_tf.errors import InputError, check, did_you_mean, first_line

_PATHS = (
    ("data", "photos"),
    ("data", "validation_photos"),
    ("data", "held_out"),
    ("masks", "folder_path"),
    ("losses", "vgg16_weights"),
)


def _convert(name: str, value: Any, kind: Any) -> Any:
    """Convert a TOML value to the type `kind` of its field.

    A whole number is accepted as a float, a list as a tuple, a string as a list.
    """
    if kind is float and type(value) is int:
        return float(value)
    if kind == tuple[str, ...]:
        value = [value] if isinstance(value, str) else value
        texts = isinstance(value, list | tuple) and all(type(item) is str for item in value)
        check(name, value, texts, "a string or a list of strings")
        return tuple(item for item in value if item)
    if kind == tuple[int, ...] and isinstance(value, list | tuple) and all(type(item) is int for item in value):
        return tuple(value)
    kind = str if typing.get_origin(kind) is typing.Literal else kind  # the section checks which of the strings
    words = {int: "a whole number", float: "a number", str: "a string", bool: "true or false"}
    check(name, value, type(value) is kind, words.get(kind, "a list of whole numbers"))
    return value


def from_dict(values: Mapping[str, Any]) -> Config:
    """Create a `Config`.

    Args:
        values: sections with their keys and values, as `tomllib` returns them.

    Raises:
        InputError: an unknown section or key, or a value of the wrong type or out of range.
    """
    sections: dict[str, type[Any]] = typing.get_type_hints(Config)
    made = {}
    for name, content in values.items():
        check("section", name, name in sections, f"one of {', '.join(sections)}")
        check(name, content, isinstance(content, dict), "a section of the config file")
        types = typing.get_type_hints(sections[name])
        for key in content:
            if key not in types:
                raise InputError(
                    f"unknown key {key!r} in [{name}]{did_you_mean(key, types)}; choose one of {', '.join(types)}"
                )
        made[name] = sections[name](**{key: _convert(f"{name}.{key}", content[key], types[key]) for key in content})
    return Config(**made)


def read(path: str | os.PathLike[str], overrides: Iterable[str] = ()) -> Config:
    """Read a config file and make its paths absolute.

    Args:
        path: the TOML file.
        overrides: `"section.key=value"` each, with a TOML value (a bare word is a string).

    Raises:
        InputError: the file does not exist or is not valid TOML, or see `from_dict`.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # TOMLDecodeError and UnicodeDecodeError are ValueErrors
        raise InputError(f"the config is not valid TOML ({first_line(error)}): {path}") from error
    except OSError as error:
        raise InputError(f"cannot read the config ({error.strerror}): {path}") from error
    _anchor(values, path.resolve().parent)
    for override in overrides:
        _override(values, override)
    _anchor(values, Path.cwd())
    return from_dict(values)


def _anchor(values: Mapping[str, Any], folder: Path) -> None:
    """Make the relative paths absolute, in place."""
    for section, key in _PATHS:
        content = values.get(section)
        if not isinstance(content, dict):
            continue
        value = content.get(key)
        if isinstance(value, str):
            content[key] = _make_absolute(f"{section}.{key}", value, folder)
        elif isinstance(value, list):
            content[key] = [_make_absolute(f"{section}.{key}", item, folder) for item in value]


def _make_absolute(name: str, value: Any, folder: Path) -> Any:
    if not isinstance(value, str) or not value:
        return value
    try:
        value = os.path.normpath(folder / Path(value).expanduser())
        value.encode("utf-8")
    except (RuntimeError, UnicodeEncodeError) as error:  # no such user, or a name that is not text
        raise InputError(f"`{name}` must be a valid UTF-8 path. Received: {value!r}") from error
    return value


def _override(values: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    section, dot, key = name.strip().partition(".")
    check("--set", override, equals and dot and key, "of the form section.key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        value = text.strip()
    content = values.setdefault(section, {})
    check(section, content, isinstance(content, dict), "a section of the config file")
    content[key] = value


def write_toml(settings: Config) -> str:
    """Return the text of a TOML file from which `read` makes the same config."""
    lines = []
    for section, content in dataclasses.asdict(settings).items():
        lines.append(f"[{section}]")
        # JSON strings, numbers, lists and booleans are also valid TOML.
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in content.items()]
        lines.append("")
    return "\n".join(lines)
