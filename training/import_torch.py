"""Convert a checkpoint of the authors' PyTorch code to a run folder, which the exporters and evaluate.py accept.

    python training/import_torch.py latest_net_G.pth --out runs/authors
    python export/export_onnx.py runs/authors --out models/authors
    python export/export_tflite.py runs/authors --out models/authors

The checkpoint is the state dict of a generator `unet_shift_triple`, `unet_256` or `face_unet_shift_triple` with
instance normalisation; base width, depth, shift connections and the mask channel are read from the tensors' names and
shapes. Needs torch, which reads the file in its weights-only mode: no code in the file is executed.
"""

import argparse
import dataclasses

from shiftnet_tf.system.quiet import import_tensorflow

import_tensorflow()

from shiftnet_tf.config.model import ModelConfig
from shiftnet_tf.config.run import Config
from shiftnet_tf.errors import check_folder
from shiftnet_tf.networks.from_torch import generator_from_torch, read_state_dict
from shiftnet_tf.run_folder import Run
from shiftnet_tf.system.atomic import check_room, existing_parent, write_atomically
from shiftnet_tf.system.command import command


@command
def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="read this state dict of the generator (.pth)")
    parser.add_argument("--out", required=True, metavar="RUN", help="create this run folder")
    parser.add_argument(
        "--image-size", type=int, default=256, help="set the image size of its training, in pixels (default: 256)"
    )
    options = parser.parse_args(arguments)
    check_folder("--out", options.out)
    generator = generator_from_torch(read_state_dict(options.checkpoint), options.image_size)
    names = {field.name for field in dataclasses.fields(ModelConfig)}
    values = {name: value for name, value in generator.get_config().items() if name in names}
    model = ModelConfig(**{**values, "shift_layers": tuple(values["shift_layers"])})
    short_side = max(Config().data.short_side, options.image_size)
    check_room(existing_parent(options.out), 5 * generator.count_params(), "the weights")
    run = Run.create(options.out, Config(model=model, data=dataclasses.replace(Config().data, short_side=short_side)))
    write_atomically(run.generator_weights, generator.save_weights)
    shifts = f"{model.shift} shift at layers {list(model.shift_layers)}" if model.shift_layers else "no shift"
    print(f"{run.path}: {generator.count_params():,} weights, base width {model.filters}, {shifts}")


if __name__ == "__main__":
    raise SystemExit(main())
