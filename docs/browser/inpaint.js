// The exported graph in WebAssembly: uint8 image [1, S, S, 3] and mask [1, S, S, 1] in, uint8 image [1, S, S, 3] out.

import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";

// A module with a function type that returns a vector of 128 bits, which is valid where there is SIMD.
const WITH_SIMD = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123);

// Loads the ONNX file of a model folder. Returns { session, size }; size is S.
export async function load(folder) {
  if (!globalThis.WebAssembly?.validate(WITH_SIMD)) {
    throw new Error("This browser has no WebAssembly SIMD, which the model needs: update it, or use another one.");
  }
  const answer = await fetch(`${folder}/spec.json`);
  if (!answer.ok) throw new Error(`There is no model in ${folder}: copy a model folder there, see README.md.`);
  const files = Object.entries((await answer.json()).files);
  const [name, { image_size: size }] = files.find(([, { format }]) => format === "onnx");
  return { session: await ort.InferenceSession.create(`${folder}/${name}`), size };
}

// Fills the hole of `image`, an ImageData of S x S pixels, in place; `mask` has a number for each pixel, not 0 = hole.
export async function inpaint({ session, size }, image, mask) {
  const rgb = new Uint8Array(3 * size * size);
  for (let i = 0; i < size * size; i++) rgb.set(image.data.subarray(4 * i, 4 * i + 3), 3 * i);
  const answer = await session.run({
    image: new ort.Tensor("uint8", rgb, [1, size, size, 3]),
    mask: new ort.Tensor("uint8", mask, [1, size, size, 1]),
  });
  const { data } = answer.inpainted_image;
  for (let i = 0; i < size * size; i++) image.data.set(data.subarray(3 * i, 3 * i + 3), 4 * i);
}
