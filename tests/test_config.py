"""Config files: what is read, what is refused and how that is said."""

import dataclasses
import tomllib
import typing

import pytest
from conftest import ROOT

from shiftnet_tf.config import model, toml_file
from shiftnet_tf.config.model import ModelConfig
from shiftnet_tf.config.run import Config
from shiftnet_tf.errors import InputError

CONFIGS = sorted((ROOT / "training" / "configs").glob("*.toml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_of_the_repository_is_valid_and_survives_a_round_trip(path):
    read = toml_file.read(path)
    assert toml_file.from_dict(tomllib.loads(toml_file.write_toml(read))) == read


def test_paper_paris_is_the_paper():
    paper = toml_file.read(ROOT / "training" / "configs" / "paper_paris.toml")
    assert paper.model == ModelConfig(256, 64, 8, (3,), mask_channel=False)
    assert (paper.losses.reconstruction, paper.losses.guidance, paper.losses.adversarial) == (100, 1, 0.2)
    assert (paper.training.learning_rate, paper.training.beta_1, paper.training.batch_size) == (2e-4, 0.5, 1)
    assert (paper.training.epochs, paper.training.steps_per_epoch, paper.data.short_side) == (30, 0, 350)
    assert paper.data.flip and paper.masks.center == 1 and paper.masks.overlap == 4


def test_finetune_has_the_network_of_the_bundled_weights():
    finetune = toml_file.read(ROOT / "training" / "configs" / "finetune.toml")
    assert finetune.model == toml_file.read(ROOT / "saved_models" / "compact" / "config.toml").model


def test_folders_are_taken_from_the_config_files_folder(tmp_path, monkeypatch):
    (tmp_path / "my.toml").write_text('[data]\nphotos = "photos"\n')
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert toml_file.read(tmp_path / "my.toml").data.photos == (str(tmp_path / "photos"),)
    given = toml_file.read(tmp_path / "my.toml", ["data.photos=here"])
    assert given.data.photos == (str(tmp_path / "elsewhere" / "here"),)


def test_overrides(tmp_path):
    (tmp_path / "my.toml").write_text("[model]\nfilters = 8\n")
    read = toml_file.read(
        tmp_path / "my.toml", ["model.filters=16", "losses.gan=lsgan", "model.shift_layers=[2, 3]", "data.flip=false"]
    )
    assert read.model.filters == 16 and read.losses.gan == "lsgan" and not read.data.flip
    assert read.model.shift_layers == (2, 3)
    with pytest.raises(InputError, match=r"`--set` must be of the form section.key=value. Received: 'filters=3'"):
        toml_file.read(tmp_path / "my.toml", ["filters=3"])


@pytest.mark.parametrize(
    "text, message",
    [
        ("[model]\nimage_size = 250", "`model.image_size` must be a multiple of 256.*Received: 250"),
        ("[model]\nimagesize = 256", r"key 'imagesize' in \[model\], did you mean 'image_size'\?; choose one of"),
        ("[models]\n", "`section` must be one of model, .*Received: 'models'"),
        ("model = 3", "`model` must be a section"),
        ("[model]\nfilters = 1.5", "`model.filters` must be a whole number. Received: 1.5"),
        ("[model]\nfilters = true", "`model.filters` must be a whole number. Received: True"),
        ("[model]\nmask_channel = 1", "`model.mask_channel` must be true or false"),
        ("[model]\nshift_layers = [3, 3]", "distinct whole numbers from 1 to 7"),
        ('[losses]\ngan = "hinged"', "`losses.gan` must be one of vanilla, lsgan"),
        ('[discriminator]\nwindow = "crop"', "`discriminator.window` must be one of image, hole, random"),
        ("[discriminator]\nfilters = 1000000", "`discriminator.filters` must be from 1 to 1024"),
        ("[model]\nfilters = 1000000", "`model.filters` must be from 1 to 1024. Received: 1000000"),
        ("[model]\nimage_size = 65536", "`model.image_size` must be at most 8192"),
        ("[model]\nblend_patches = true", "`model.blend_patches` must be false if `patches` is false"),
        ("[losses]\nperceptual = 1", "`losses.vgg16_weights` must be a path if"),
        ('[losses]\nfeatures = "resnet"', "`losses.features` must be one of vgg16, efficientnet_lite0"),
        ("[losses]\nadversarial = 0\nfeature_matching = 1", "`losses.feature_matching` must be 0 if"),
        ("[losses]\nadversarial = 0\nr1 = 1", "`losses.r1` must be 0 if"),
        ("[losses]\nr1_every = 0", "`losses.r1_every` must be from 1"),
        ('[losses]\nadversarial_region = "edge"', "`losses.adversarial_region` must be one of image, hole"),
        ('[data]\nvalidation_sets = ["a"]', "`data.held_out` must be a file if"),
        ('[data]\nheld_out = "a.txt"\nvalidation_sets = ["a", "a"]', "`data.validation_sets` must be distinct names"),
        ("[data]\nphotos = [1]", "`data.photos` must be a string or a list of strings"),
        ("[training]\nepochs = 100000000000000000000", "`training.epochs` must be from 1 to 10..9"),
        ("[training]\nbatch_size = 1000000", "`training.batch_size` must be from 1 to 4096"),
        ('[training]\nbest = "lpips"', "`training.best` must be one of hole_psnr, deep_distance. Received: 'lpips'"),
        ("[training]\ndiscriminator_learning_rate = 1", "`training.discriminator_learning_rate` must be"),
        ("[losses]\nguidance = -1", "`losses.guidance` must be from 0 to 1e9"),
        ("[losses]\nguidance = nan", "`losses.guidance` must be from 0 to 1e9"),
        ("[losses]\nreconstruction = 0", "`losses.reconstruction` must be above 0"),
        ("[masks]\ncenter = 0", "a mix with at least one weight above 0"),
        ("[masks]\nfolder = 1", "`masks.folder_path` must be a folder if"),
        ("[masks]\noverlap = 64", "`masks.overlap` must be below a quarter"),
        ("[data]\nshort_side = 100", "`data.short_side` must be at least `image_size`, 256"),
        ("[training]\nlearning_rate = 0", "`training.learning_rate` must be between 0 and 1"),
        ('[training]\njit_compile = "yes"', "`training.jit_compile` must be one of auto, on, off. Received: 'yes'"),
        ('[training]\njit_compile = "on"\ndeterministic = "on"', '"auto" or "off" if'),
        ('[training]\ncallbacks = "wandb"', '`training.callbacks` must be a list of "package.module:Class"'),
        ("[model\n", "not valid TOML"),
    ],
)
def test_what_is_refused(tmp_path, text, message):
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(InputError, match=message):
        toml_file.read(tmp_path / "bad.toml")


def test_an_absent_file(tmp_path):
    with pytest.raises(InputError, match="cannot read the config"):
        toml_file.read(tmp_path / "absent.toml")


def test_configs_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().model.filters = 3


def test_paths_have_no_detours(tmp_path):
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "a.toml").write_text('[data]\nphotos = "../photos"\n')
    assert toml_file.read(tmp_path / "configs" / "a.toml").data.photos == (str(tmp_path / "photos"),)


def test_several_folders_round_trip(tmp_path):
    (tmp_path / "a.toml").write_text(
        '[data]\nphotos = ["one", "../two"]\nheld_out = "h.txt"\nvalidation_sets = ["x"]\n'
    )
    settings = toml_file.read(tmp_path / "a.toml")
    assert settings.data.photos == (str(tmp_path / "one"), str(tmp_path.parent / "two"))
    assert settings.data.held_out == str(tmp_path / "h.txt") and settings.data.validation_photos == ()
    (tmp_path / "b.toml").write_text(toml_file.write_toml(settings))
    assert toml_file.read(tmp_path / "b.toml") == settings


def test_the_discriminators_learning_rate_is_the_generators_unless_it_has_its_own():
    assert toml_file.from_dict({"training": {"learning_rate": 0.5}}).discriminator_learning_rate == 0.5
    rates = {"learning_rate": 0.5, "discriminator_learning_rate": 0.25}
    assert toml_file.from_dict({"training": rates}).discriminator_learning_rate == 0.25


def test_the_names_of_losses_are_those_of_the_code():
    from shiftnet_tf.training import gan_losses, losses

    assert set(model.LOSSES) == {*losses.LOSSES, "guidance", "adversarial", "feature_matching"}
    assert set(typing.get_args(typing.get_type_hints(model.LossConfig)["gan"])) == set(gan_losses.GAN_LOSSES)
