"""The command `shiftnet`, with one module per subcommand."""

from shiftnet_tf import __version__
from shiftnet_tf.cli.completion import completion
from shiftnet_tf.cli.evaluate import EVALUATE
from shiftnet_tf.cli.export import EXPORT
from shiftnet_tf.cli.info import DOCTOR, INFO
from shiftnet_tf.cli.inpaint import INPAINT
from shiftnet_tf.cli.parsing import Group, Parser, Subcommand, add_commands, main_of
from shiftnet_tf.cli.serve import DEMO, SERVE
from shiftnet_tf.cli.train import TRAIN


def make_parser() -> Parser:
    """Return the parser of the whole command."""
    parser = Parser(prog="shiftnet", description="Remove things from photos: Shift-Net image inpainting.")
    parser.add_argument("--version", action="version", version=f"shiftnet {__version__}")
    members: dict[str, Subcommand | Group] = {
        "inpaint": INPAINT,
        "demo": DEMO,
        "serve": SERVE,
        "info": INFO,
        "doctor": DOCTOR,
        "train": TRAIN,
        "evaluate": EVALUATE,
        "export": EXPORT,
        "completion": completion(make_parser),
    }
    add_commands(parser, members)
    return parser


main = main_of(make_parser)
