// Draws shapes of the mask, and shows them over the photo.

export const PAINT = "#ff2f5f";
const CONTOUR = 1.5; // CSS pixels

export function makeCanvas(width, height) {
  return Object.assign(document.createElement("canvas"), { width, height });
}

// Draws shapes in their order; `context` is scaled to pixels of the photo.
export function drawShapes(context, shapes) {
  context.lineCap = "round";
  context.strokeStyle = context.fillStyle = PAINT;
  for (const shape of shapes) {
    context.globalCompositeOperation = shape.erase ? "destination-out" : "source-over";
    if (shape.picture) context.drawImage(shape.picture, 0, 0);
    else if (shape.fill) drawArea(context, shape.points);
    else drawLine(context, shape.points, shape.width);
  }
  context.globalCompositeOperation = "source-over";
}

// The corners of an area are whole pixels, which belong to it: hence the halves.
function drawArea(context, points) {
  context.lineWidth = 1;
  context.lineJoin = "miter";
  context.beginPath();
  for (const [x, y] of points) context.lineTo(x + 0.5, y + 0.5);
  context.closePath();
  context.fill("evenodd");
  context.stroke();
}

function drawLine(context, points, width) {
  context.lineWidth = width;
  context.lineJoin = "round";
  context.beginPath();
  if (points.length === 1) { // Chromium 156 does not draw a line of zero length, even with round caps
    context.arc(...points[0], width / 2, 0, 2 * Math.PI);
    return context.fill();
  }
  for (const point of points) context.lineTo(...point);
  context.stroke();
}

// The canvas over the stage.
export class Overlay {
  #canvas;
  #view;
  #drawn; // the mask without the shape in progress
  #key = [];

  constructor(canvas, view) {
    [this.#canvas, this.#view] = [canvas, view];
    this.#drawn = makeCanvas(1, 1);
  }

  // Shows a state of the mask (null: nothing), and a shape in progress.
  show(state, shape) {
    const ratio = window.devicePixelRatio || 1;
    const { scale, left, top } = this.#view;
    const size = [this.#canvas.clientWidth, this.#canvas.clientHeight].map((length) => Math.round(length * ratio));
    const key = [state, scale, left, top, ratio, ...size];
    const isSame = key.every((each, i) => each === this.#key[i]);
    if (!isSame) {
      this.#key = key;
      this.#drawn = state ? this.#draw(state, size, ratio) : makeCanvas(...size);
      [this.#canvas.width, this.#canvas.height] = size;
    }
    const context = this.#canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, ...size);
    context.drawImage(this.#drawn, 0, 0);
    this.#scaled(context, ratio);
    if (shape) drawShapes(context, [shape]);
  }

  // New shapes are painted; of those that were filled already the contour is drawn.
  #draw({ shapes, filled }, size, ratio) {
    const paint = this.#scaled(makeCanvas(...size).getContext("2d"), ratio);
    drawShapes(paint, shapes.slice(filled?.count ?? 0));
    if (!filled) return paint.canvas;
    const old = this.#scaled(makeCanvas(...size).getContext("2d"), ratio);
    drawShapes(old, shapes.filter((shape, i) => i < filled.count || shape.erase));
    paint.setTransform(1, 0, 0, 1, 0, 0);
    paint.drawImage(contour(old.canvas, CONTOUR * ratio), 0, 0);
    return paint.canvas;
  }

  #scaled(context, ratio) {
    const { scale, left, top } = this.#view;
    context.setTransform(scale * ratio, 0, 0, scale * ratio, left * ratio, top * ratio);
    return context;
  }
}

// Returns what of a drawing lies within `width` of its edge.
function contour(drawing, width) {
  const inner = makeCanvas(drawing.width, drawing.height).getContext("2d");
  inner.drawImage(drawing, 0, 0);
  inner.globalCompositeOperation = "destination-in";
  for (const [x, y] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) inner.drawImage(drawing, x * width, y * width);
  const rim = drawing.getContext("2d");
  rim.setTransform(1, 0, 0, 1, 0, 0);
  rim.globalCompositeOperation = "destination-out";
  rim.drawImage(inner.canvas, 0, 0);
  return drawing;
}
