"""Fills a hole on a device with numpy and ai-edge-litert alone: no TensorFlow, no Pillow, not even shiftnet_tf.

    pip install numpy ai-edge-litert
    python edge_device.py model-dynamic.tflite photo.npy mask.npy inpainted.npy

photo.npy: uint8 [S, S, 3] RGB, at the model's size; mask.npy: uint8 [S, S], nonzero = hole. Known pixels are returned
unchanged.
"""

import resource
import sys
import time

start = time.perf_counter()

import numpy as np  # noqa: E402
from ai_edge_litert.interpreter import Interpreter  # noqa: E402

model, photo, mask, out = sys.argv[1:]
interpreter = Interpreter(model, num_threads=2)
interpreter.allocate_tensors()
fill = interpreter.get_signature_runner("serving_default")

image, hole = np.load(photo)[np.newaxis], np.load(mask)[np.newaxis, ..., np.newaxis]
np.save(out, fill(image=image, mask=hole)["inpainted_image"][0])
print(f"first picture after {time.perf_counter() - start:.2f} s, with all imports")

start = time.perf_counter()
fill(image=image, mask=hole)
print(f"the next after {1000 * (time.perf_counter() - start):.0f} ms")
print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000:.0f} MB")
