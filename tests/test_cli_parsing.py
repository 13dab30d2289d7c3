"""The command as a whole: guesses for misspelt words, help, completion, and the subcommands that scripts share."""

import subprocess
import sys

import pytest
from conftest import load_script, says

from shiftnet_tf import __version__
from shiftnet_tf.cli import main, make_parser
from shiftnet_tf.cli.completion import parsers
from shiftnet_tf.errors import InputError
from shiftnet_tf.system import bundled

SCRIPTS = {
    "training/train": ["train"],
    "training/evaluate": ["evaluate"],
    "export/export_onnx": ["export", "onnx"],
    "export/export_tflite": ["export", "tflite"],
    "export/export_saved_model": ["export", "saved-model"],
}


@pytest.mark.parametrize(
    "words, message",
    [
        (["inpant"], "unknown command 'inpant', did you mean 'inpaint'? (see `shiftnet --help`)"),
        (["--versoin"], "unknown option --versoin, did you mean '--version'?"),
        (
            ["inpaint", "a", "--mask", "b", "-o", "c", "--dialte", "3"],
            "unknown option --dialte, did you mean '--dilate'? (see",
        ),
        (
            ["inpaint", "a", "--mask", "b", "-o", "c", "--qualty=3"],
            "unknown option --qualty, did you mean '--quality'?",
        ),
        (
            ["inpaint", "a", "--mask", "b", "-o", "c", "--detail", "modle"],
            "unknown --detail 'modle', did you mean 'model'?",
        ),
        (["inpaint", "a", "--mask", "b", "-o", "c", "--runtime", "x"], "choose one of onnxruntime, litert, tensorflow"),
        (["export", "onxx", "run"], "unknown format 'onxx', did you mean 'onnx'? (see `shiftnet export --help`)"),
        (["train", "compcat"], "unknown config 'compcat', did you mean 'compact'?; choose one of compact, demo, "),
        (
            ["train", "compact", "--from", "compcat", "--set", "data.photos=x"],
            "unknown preset 'compcat', did you mean 'compact'?",
        ),
        (["info", "a", "b"], "unknown argument b"),
        (["inpaint", "a", "--maks", "b", "-o", "c"], "unknown option --maks, did you mean '--mask'?"),
        (["inpaint"], "required: PHOTO, --mask, -o/--output (see `shiftnet inpaint --help`)"),
        ([], "required: COMMAND"),
        (["train", "--set", "a.b=1", "--resume"], "pass --run-dir and no CONFIG"),
    ],
)
def test_bad_usage_is_one_sentence_with_a_guess(capsys, words, message):
    says(capsys, 2, message, main(words))


def test_help_fits_80_columns_and_ends_with_defaults(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    pages = {parser.prog: parser.format_help() for parser in parsers(make_parser())}
    assert len(pages) == 14
    for prog, text in pages.items():
        assert max(map(len, text.splitlines())) <= 80, prog
    assert "  inpaint     fill holes in photos\n" in pages["shiftnet"] and "COMMAND\n" not in pages["shiftnet"]
    assert "usage: shiftnet inpaint PHOTO... --mask FILE -o PATH [options]\n" in pages["shiftnet inpaint"]
    assert "\n  shiftnet train --resume --run-dir runs/mine\n" in pages["shiftnet train"]
    monkeypatch.setenv("COLUMNS", "200")
    assert max(map(len, make_parser().format_help().splitlines())) <= 100


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_has_the_arguments_of_its_subcommand(script, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    pages = []
    monkeypatch.setattr(sys, "argv", ["script.py"])
    for run, words, prog in (
        (main, SCRIPTS[script], " ".join(["shiftnet", *SCRIPTS[script]])),
        (load_script(script).main, [], "script.py"),
    ):
        with pytest.raises(SystemExit) as end:
            run([*words, "--help"])
        assert end.value.code == 0
        usage, rest = capsys.readouterr().out.split("\n\n", 1)
        pages.append(["".join(usage.replace(prog, "").split()), rest])
    assert pages[0] == pages[1]
    assert load_script(script).main(["--nonsense"]) == main([*SCRIPTS[script], "--nonsense"]) == 2


@pytest.mark.parametrize(
    "words, extra",
    [
        (["train", "compact"], "train"),
        (["evaluate", "compact", "--images", "a", "--masks", "center", "--out", "b"], "evaluate"),
        (["export", "tflite", "compact"], "export"),
    ],
)
def test_without_its_extra_a_subcommand_names_the_pip_line(capsys, monkeypatch, words, extra):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    message = f'needs the package tensorflow, which is not installed: pip install "shiftnet-tf[{extra}]"\n'
    says(capsys, 2, message, main(words))


def test_names_of_configs_and_presets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert bundled.find_config("compact") == bundled.ROOT / "training" / "configs" / "compact.toml"
    assert bundled.find_config("my.toml").name == "my.toml"
    assert bundled.find_preset("compact") == bundled.ROOT / "saved_models" / "compact"
    (tmp_path / "compact").mkdir()
    (tmp_path / "mine").mkdir()
    assert bundled.find_preset("compact").is_absolute() and not bundled.find_preset("./compact").is_absolute()
    assert bundled.find_preset(tmp_path / "absent") == tmp_path / "absent"
    assert bundled.find_preset("mine") == (tmp_path / "mine").relative_to(tmp_path)
    with pytest.raises(
        InputError, match="unknown preset 'compactt', did you mean 'compact'.*; choose one of compact, or the"
    ):
        bundled.find_preset("compactt")


def test_without_a_demo_a_config_must_be_named(capsys, monkeypatch):
    """As in a wheel, which has no sample photos."""
    from shiftnet_tf.cli import train

    monkeypatch.setattr(train, "config_names", lambda: ["compact", "finetune"])
    says(capsys, 2, "no config given: pass compact, finetune, or a TOML file", main(["train"]))


def test_python_m():
    done = subprocess.run([sys.executable, "-m", "shiftnet_tf", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, f"shiftnet {__version__}\n")


COMPLETE = """
source {script}
complete_words() {{
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
    _shtab_shiftnet; echo "${{COMPREPLY[@]}}"
}}
complete_words shiftnet inp
complete_words shiftnet inpaint --detail ""
complete_words shiftnet inpaint --overw
complete_words shiftnet inpaint --mask mas
complete_words shiftnet export tfl
"""


def test_completion_in_bash(tmp_path, capsys):
    assert main(["completion", "bash"]) == 0
    (tmp_path / "script").write_text(capsys.readouterr().out)
    (tmp_path / "mask.png").touch()
    script = COMPLETE.format(script=tmp_path / "script")
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.splitlines() == ["inpaint", "auto model shift-map", "--overwrite", "mask.png", "tflite"], done
    for shell in ("zsh", "fish", "tcsh", "powershell"):
        assert main(["completion", shell]) == 0 and "inpaint" in capsys.readouterr().out


def test_completion_without_shtab_names_the_pip_line(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "shtab", None)
    says(capsys, 2, 'pip install "shiftnet-tf[completion]"', main(["completion", "zsh"]))
