// node node.mjs model/model-int8.onnx photo.png mask.png out.png; photo and mask have the model's size, white = hole
import * as ort from "onnxruntime-node";
import sharp from "sharp";

const [model, photo, mask, out] = process.argv.slice(2);
const session = await ort.InferenceSession.create(model);
const { data, info } = await sharp(photo).removeAlpha().raw().toBuffer({ resolveWithObject: true });
const hole = await sharp(mask).removeAlpha().threshold(128).extractChannel(0).raw().toBuffer();
const tensor = (bytes, channels) => new ort.Tensor("uint8", bytes, [1, info.height, info.width, channels]);
const { inpainted_image: filled } = await session.run({ image: tensor(data, 3), mask: tensor(hole, 1) });
await sharp(filled.data, { raw: { width: info.width, height: info.height, channels: 3 } }).png().toFile(out);
