// The mask: shapes in pixels of the upright photo, their history, and the files that hold them.
//
// A shape is a line { points, width, erase }, an area { points, fill: true, erase }, or a mask picture { picture }, a
// canvas whose opaque pixels are hole. They are drawn in their order. Without a picture they are the strokes of a JSON
// file, see masks/shapes.py; with one, which JSON cannot hold, the mask is a PNG file of the photo's size.

import { drawShapes, makeCanvas, PAINT } from "./canvas.js";
import { boxCorners } from "./tools.js";

const MOST_JSON = 4_000_000; // bytes that the server takes
const ROWS = 256; // of a picture that are read at a time
const SAME = 32; // levels by which the colour of one layer of paint may differ

export class Mask {
  // Each state is { shapes, filled }; filled is { count, file }: the photo is shown with its first shapes filled.
  #states = [{ shapes: [], filled: null }];
  #at = 0;

  constructor(width, height) {
    [this.width, this.height] = [width, height];
  }

  get state() {
    return this.#states[this.#at];
  }

  get canUndo() {
    return this.#at > 0;
  }

  get canRedo() {
    return this.#at < this.#states.length - 1;
  }

  // Whether there is a hole that is not filled yet.
  get isNew() {
    const { shapes, filled } = this.state;
    return shapes.length > (filled?.count ?? 0) && shapes.some((shape) => !shape.erase);
  }

  add(...shapes) {
    this.#push({ ...this.state, shapes: [...this.state.shapes, ...shapes] });
  }

  clear() {
    const { shapes, filled } = this.state;
    this.#push({ filled, shapes: filled ? shapes.slice(0, filled.count) : [] });
  }

  // Goes on from a result, which shows all shapes filled; null: shows the original again.
  goOn(file) {
    const { shapes } = this.state;
    this.#push({ shapes, filled: file && { count: shapes.length, file } });
  }

  undo() {
    if (this.canUndo) this.#at -= 1;
  }

  redo() {
    if (this.canRedo) this.#at += 1;
  }

  #push(state) {
    this.#states.splice(this.#at + 1, Infinity, state);
    this.#at += 1;
  }

  // The file that the server and the command read.
  async file() {
    const { shapes } = this.state;
    if (!shapes.some((shape) => shape.picture)) {
      const file = new File([JSON.stringify({ strokes: shapes })], "mask.json", { type: "application/json" });
      if (file.size <= MOST_JSON) return file;
    }
    return pictureFile(shapes, this.width, this.height);
  }
}

// Reads a mask file, JSON or a picture of the photo's size, and returns its shapes.
export async function readMask(file, width, height) {
  const head = await file.slice(0, 64).text();
  if (/^\s*\{/.test(head)) return shapesOf(await file.text(), file.name);
  return [{ picture: await pictureOf(file, width, height) }];
}

function shapesOf(text, name) {
  try {
    const { boxes = [], polygons = [], strokes = [], ...rest } = JSON.parse(text);
    if (Object.keys(rest).length) throw new Error(`unknown: ${Object.keys(rest)[0]}`);
    const box = ([left, top, right, bottom]) => boxCorners(...[left, top, right, bottom].map(Math.round));
    const areas = [...boxes.map(box), ...polygons].map((points) => ({ points, fill: true, erase: false }));
    const shapes = [...areas, ...strokes];
    const isPoint = (point) => point.length === 2 && point.every(Number.isFinite);
    const isShape = ({ points, width, fill }) => points.length && points.every(isPoint) && (fill === true || width > 0);
    if (!shapes.length || !shapes.every(isShape)) throw new Error("a shape is invalid");
    return shapes;
  } catch {
    throw new Error(`${name} is not a mask: a JSON mask is an object with the lists boxes, polygons and strokes.`);
  }
}

// A canvas of a mask picture; hole is what masks.mask_files and masks.holes.find_hole take for it in Python.
async function pictureOf(file, width, height) {
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Error(`${file.name} is neither an image that this browser can show nor a JSON mask.`);
  });
  if (bitmap.width !== width || bitmap.height !== height) {
    const sizes = `${bitmap.width} x ${bitmap.height} pixels, and the photo ${width} x ${height}`;
    throw new Error(`The mask must have the photo's size: ${file.name} has ${sizes}.`);
  }
  const context = makeCanvas(width, height).getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  const { isTransparent, least, most } = levelsOf(context);
  if (isTransparent && most.some((level, i) => level - least[i] > SAME)) {
    throw new Error(`${file.name} is ambiguous: it has transparent pixels and several colours.`);
  }
  const above = Math.max(...most) > 1 ? 127 : 0;
  const isHole = (data, i) => (isTransparent ? data[i + 3] > 127 : Math.max(data[i], data[i + 1], data[i + 2]) > above);
  const paint = PAINT.match(/\w\w/g).map((digits) => parseInt(digits, 16));
  repaint(context, isHole, [...paint, 255], [0, 0, 0, 0]);
  return context.canvas;
}

// Whether a picture has transparent pixels, and the least and most level of each channel in the others.
function levelsOf(context) {
  const [least, most] = [[255, 255, 255], [0, 0, 0]];
  let isTransparent = false;
  for (const data of strips(context)) {
    for (let i = 0; i < data.length; i += 4) {
      isTransparent ||= data[i + 3] < 255;
      if (data[i + 3] <= 127) continue;
      for (let channel = 0; channel < 3; channel++) {
        const level = data[i + channel];
        if (level < least[channel]) least[channel] = level;
        if (level > most[channel]) most[channel] = level;
      }
    }
  }
  return { isTransparent, least, most };
}

async function pictureFile(shapes, width, height) {
  const context = makeCanvas(width, height).getContext("2d", { willReadFrequently: true });
  drawShapes(context, shapes);
  repaint(context, (data, i) => data[i + 3] > 127, [255, 255, 255, 255], [0, 0, 0, 255]);
  const blob = await new Promise((resolve) => context.canvas.toBlob(resolve, "image/png"));
  if (!blob) throw new Error("This browser cannot write a mask of the photo's size: use a smaller photo.");
  return new File([blob], "mask.png", { type: blob.type });
}

// Yields the pixels of a canvas, some rows at a time; what is changed in them goes back.
function* strips(context) {
  const { width, height } = context.canvas;
  for (let top = 0; top < height; top += ROWS) {
    const strip = context.getImageData(0, top, width, Math.min(ROWS, height - top));
    yield strip.data;
    context.putImageData(strip, 0, top);
  }
}

function repaint(context, isHole, hole, rest) {
  for (const data of strips(context)) {
    for (let i = 0; i < data.length; i += 4) {
      const colour = isHole(data, i) ? hole : rest;
      for (let channel = 0; channel < 4; channel++) data[i + channel] = colour[channel];
    }
  }
}
