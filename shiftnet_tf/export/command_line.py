"""The arguments that all export scripts take."""

import argparse


def parse(description, photos, file_format, arguments=None):
    """Parse the command line of an export script.

    Args:
        description: str, for --help.
        photos: Path, the default folder of photos to compare with Keras on.
        file_format: `exporter.Format`; options for what it cannot do are left out.
        arguments: list of str; None: those of the process.

    Returns:
        dict, keyword arguments of `export_onnx`, `export_tflite` or `export_saved_model`.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="run folder of training/train.py")
    parser.add_argument("--out", help="model folder to write to (default: export/ in the run folder)")
    parser.add_argument("--image-size", type=int, help="pixels, a multiple of 2**depth (default: the training's)")
    parser.add_argument("--shift-map", action="store_true", help="add a second output: where each hole part came from")
    parser.add_argument("--photos", default=photos, help="compare with Keras on these photos (default: the samples)")
    if len(file_format.profiles) > 1:
        more = "mobile-gpu: only operations that LiteRT's delegates for the GPUs of phones run (default: default)"
        parser.add_argument("--profile", choices=file_format.profiles, default="default", help=more)
    if len(file_format.precisions) > 1:
        more = "number format of the weights (default: float32)"
        parser.add_argument("--precision", choices=file_format.precisions, default="float32", help=more)
        more = "refuse a lower precision that loses more than this (default: 0.2)"
        parser.add_argument("--max-psnr-drop", type=float, default=0.2, metavar="DB", help=more)
    if "int8" in file_format.precisions:
        more = "fit int8 to 100 photos or more, but for those compared on (default: the photos trained on)"
        parser.add_argument("--calibration-photos", metavar="DIR", help=more)
    return vars(parser.parse_args(arguments))
