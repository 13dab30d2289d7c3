"""The form of all messages that users see, held by rules over `docs/list_messages.py`."""

import argparse
import re

import pytest
from conftest import load_script

from shiftnet_tf.cli import make_parser
from shiftnet_tf.cli.completion import parsers

LIST = load_script("docs/list_messages")
MESSAGES = LIST.list_messages()

BANNED = {  # phrase -> what says it in the field's words
    r"\b(shall|lies?|anew|beside|upright)\b": "plain words",
    r"(?<!there )\b(is|are) no (?!longer)\w+": "is not a ...",
    r"\b(has|have) (not\b(?! \w+ed)|none\b)": "does not have",
    r"^there (is|are) ": "no ..., not enough ...",
    r"\bmay not be \w+|\bcannot be (read|written|made)\b": "cannot ...",
    r"\bat work\b": "in use",
    r"\bwhat is (hole|painted|left)\b": "the hole",
    r"\b(photos?|files?|folder|WebP\)) below\b": "in",
    r"\bgive (no|one|at|an?|it|-o|--\w+|`-`)(?!\w)": "pass, choose",
    r"\bname (an?|another|one|at|photos|the|it|different|-)(?!\w)": "choose, pass",
    r"\btake (fewer|less|its|this|these|each|an?|at most)\b": "use",
    r"\bmore (memory )?than there is\b": "not enough",
    r"\b(go|goes|going) on\b": "continue",
    r"\bwhere (`|it\b|that\b|there\b|data\b|TF_)": "if",
    r"\b(bits|bytes|line|row) an? (channel|pixel|photo)\b": "per",
    r"\bwent away\b": "disconnected",
    r"\bsuch (a )?one\b|\bone such\b": "a ...",
    r"\bthe (weights|model) so\b|\bkeep the weights\b": "say how",
    r"\bmake the (run )?folder\b": "create",
}
VERBS = {
    *(
        "accept",
        "add",
        "allow",
        "also",
        "append",
        "batch",
        "calibrate",
        "cancel",
        "change",
        "compare",
        "count",
        "create",
    ),
    *("crop", "describe", "do", "draw", "exit", "export", "fill", "find", "give", "grow", "handle", "keep", "lay"),
    *(
        "leave",
        "list",
        "listen",
        "lower",
        "measure",
        "open",
        "override",
        "pick",
        "print",
        "put",
        "read",
        "record",
        "reject",
    ),
    *("report", "require", "reserve", "restrict", "resume", "run", "serve", "set", "show", "simulate", "skip", "split"),
    *("start", "take", "time", "train", "use", "validate", "write"),
}
DEFAULT = re.compile(r"\(default( and maximum)?: .*\)$|\{default\}$")
REQUIREMENT = re.compile(
    r"(an? |the |one (of|without) |from |between |at (least|most) |above |below |distinct |empty if |false if |\d+|"
    r'true or false|left out if |given\b|letters, |printable |of the form |"\w+"|\{value\})'
)
NAMES = r"(TensorFlow|LiteRT|ONNX|TensorRT)\b"


def wrong(holds, *kinds):
    """The messages of these kinds that a rule does not hold for."""
    return [f"{m.place}: {m.text}" for m in MESSAGES if m.kind in kinds and not holds(m.text)]


def test_the_list_has_all_kinds():
    kinds = [message.kind for message in MESSAGES]
    assert kinds.count("error") > 250 and kinds.count("must") > 60 and kinds.count("help") > 60
    assert kinds.count("log") > 25 and kinds.count("text") > 10


@pytest.mark.parametrize("phrase", BANNED)
def test_no_riddles(phrase):
    assert wrong(lambda text: not re.search(phrase, text), "error", "must", "help", "log") == [], BANNED[phrase]


def test_spaces_and_signs():
    assert wrong(lambda text: "  " not in text.strip() and "\n" not in text.strip(), "log") == []  # may be indented
    kinds = ("error", "must", "help", "text")
    assert wrong(lambda text: "  " not in text and "\n" not in text and text == text.strip(), *kinds) == []
    assert wrong(lambda text: text.count("`") % 2 == 0 and text.count("(") == text.count(")"), *LIST.KINDS) == []


def test_one_sentence_without_a_stop():
    assert wrong(lambda text: not text.endswith((".", ":", ";")), "error", "must", "help", "log") == []
    assert wrong(lambda text: ". " not in text.replace(". Received: ", ""), "error", "help", "log") == []


def test_an_error_begins_with_a_small_letter():
    assert wrong(lambda text: not re.match(r"[A-Z][a-z]", text) or re.match(NAMES, text), "error", "log") == []


def test_what_was_received_follows_a_full_stop():
    assert wrong(lambda text: len(re.findall("[Rr]eceived", text)) == text.count(". Received: "), "error") == []


def test_a_requirement_fits_behind_must_be():
    assert wrong(lambda text: REQUIREMENT.match(text) and "must" not in text, "must") == []


def test_a_help_text_is_imperative_and_ends_with_the_default():
    assert wrong(lambda text: text.split()[0] in VERBS or text.startswith("{text}"), "help") == []
    assert wrong(lambda text: "default" not in text or DEFAULT.search(text), "help") == []


def test_every_argument_with_a_default_names_it():
    actions = [(parser.prog, action) for parser in parsers(make_parser()) for action in parser._actions]
    having = [(prog, action) for prog, action in actions if action.option_strings and action.help != argparse.SUPPRESS]
    values = [(prog, action) for prog, action in having if action.default not in (None, False, [], argparse.SUPPRESS)]
    assert len(values) > 25
    assert [(prog, action.help) for prog, action in values if not DEFAULT.search(action.help)] == []
