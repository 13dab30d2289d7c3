// A photo, a brush and the model, without any server.

import { inpaint, load } from "./inpaint.js";

const $ = (id) => document.getElementById(id);
const folder = new URLSearchParams(location.search).get("model") ?? "model"; // spec.json and the file that it names
const makeContext = (width, height) =>
  Object.assign(document.createElement("canvas"), { width, height }).getContext("2d", { willReadFrequently: true });
const shown = $("photo").getContext("2d");
let photo, hole; // contexts of the photo's size
let last = null; // point of the stroke in progress

function show() {
  shown.drawImage(photo.canvas, 0, 0);
  shown.globalAlpha = 0.55;
  shown.drawImage(hole.canvas, 0, 0);
  shown.globalAlpha = 1;
}

async function open(file) {
  const bitmap = await createImageBitmap(file);
  [photo, hole] = [makeContext(bitmap.width, bitmap.height), makeContext(bitmap.width, bitmap.height)];
  Object.assign($("photo"), { width: bitmap.width, height: bitmap.height });
  photo.drawImage(bitmap, 0, 0);
  hole.strokeStyle = "#ff2f5f";
  hole.lineCap = "round";
  $("fill").disabled = false;
  show();
}

function paint(event) {
  const scale = $("photo").width / $("photo").clientWidth;
  const next = [event.offsetX * scale, event.offsetY * scale];
  hole.lineWidth = $("width").value * scale;
  hole.beginPath();
  hole.moveTo(...(last ?? [next[0], next[1] + 0.1])); // a line without length would not be drawn
  hole.lineTo(...next);
  hole.stroke();
  last = next;
  show();
}

// The part of the photo that the model looks at: the hole and as much around it, at least as large as the model's size.
function windowOf(pixels, size) {
  const { width, height } = photo.canvas;
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (let i = 0; i < width * height; i++) {
    if (!pixels[4 * i + 3]) continue;
    const [x, y] = [i % width, Math.floor(i / width)];
    [left, top] = [Math.min(left, x), Math.min(top, y)];
    [right, bottom] = [Math.max(right, x), Math.max(bottom, y)];
  }
  const side = Math.max(size, 2 * (right - left + 1), 2 * (bottom - top + 1));
  const [w, h] = [Math.min(side, width), Math.min(side, height)];
  const inside = (at, most) => Math.round(Math.min(Math.max(at, 0), most));
  const start = (from, to, length, all) => inside((from + to + 1 - length) / 2, all - length);
  return [start(left, right, w, width), start(top, bottom, h, height), w, h];
}

async function fill(model) {
  const { width, height } = photo.canvas, { size } = model;
  const pixels = hole.getImageData(0, 0, width, height).data;
  if (!pixels.some((value, i) => i % 4 === 3 && value)) return "Brush over what you want to remove first.";
  const place = windowOf(pixels, size);
  const [small, smallHole] = [makeContext(size, size), makeContext(size, size)];
  small.imageSmoothingQuality = smallHole.imageSmoothingQuality = "high";
  small.drawImage(photo.canvas, ...place, 0, 0, size, size);
  smallHole.drawImage(hole.canvas, ...place, 0, 0, size, size);
  const image = small.getImageData(0, 0, size, size);
  const mask = smallHole.getImageData(0, 0, size, size).data.filter((value, i) => i % 4 === 3); // where touched
  const started = performance.now();
  await inpaint(model, image, Uint8Array.from(mask));
  small.putImageData(image, 0, 0);
  const filled = makeContext(width, height);
  filled.drawImage(small.canvas, 0, 0, size, size, ...place);
  const [result, answer] = [photo, filled].map((context) => context.getImageData(0, 0, width, height));
  for (let i = 0; i < pixels.length; i += 4) {
    if (pixels[i + 3]) result.data.set(answer.data.subarray(i, i + 4), i); // known pixels stay as they are
  }
  photo.putImageData(result, 0, 0);
  hole.clearRect(0, 0, width, height);
  show();
  $("save").disabled = false;
  return `Filled in ${((performance.now() - started) / 1000).toFixed(1)} s.`;
}

function save() {
  photo.canvas.toBlob((blob) => {
    const link = document.createElement("a");
    Object.assign(link, { href: URL.createObjectURL(blob), download: "filled.png" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  });
}

const attempt = async (action) => {
  try {
    $("status").textContent = (await action()) ?? "";
  } catch (error) {
    $("status").textContent = error.message;
  }
};
await attempt(async () => {
  const model = await load(folder);
  $("file").addEventListener("change", () => attempt(() => open($("file").files[0])));
  $("photo").addEventListener("pointerdown", (event) => {
    $("photo").setPointerCapture(event.pointerId);
    paint(event);
  });
  $("photo").addEventListener("pointermove", (event) => last && paint(event));
  for (const name of ["pointerup", "pointercancel"]) $("photo").addEventListener(name, () => (last = null));
  $("fill").addEventListener("click", () => attempt(() => fill(model)));
  $("save").addEventListener("click", save);
  return `Open a photo. The model looks at ${model.size} x ${model.size} pixels.`;
});
