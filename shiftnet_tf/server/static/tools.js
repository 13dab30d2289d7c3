// Brush, rectangle and lasso: each makes a shape of the mask from a start, moves and an end, of a pointer or of keys.

const [LEAST_SIZE, MOST_SIZE] = [4, 160]; // of the brush in screen pixels

export class Tools {
  kind = "brush"; // or "rectangle", "lasso"
  isErasing = false;
  size = 40;
  shape = null; // that is being drawn
  #start = null;
  #view;

  constructor(view) {
    this.#view = view;
  }

  resize(size) {
    this.size = Math.min(Math.max(Math.round(size), LEAST_SIZE), MOST_SIZE);
  }

  // The brush's width in pixels of the photo.
  get width() {
    return Math.round((10 * this.size) / this.#view.scale) / 10;
  }

  begin(point, erase = this.isErasing) {
    this.#start = point;
    const points = this.kind === "rectangle" ? [] : [point];
    this.shape = this.kind === "brush" ? { points, width: this.width, erase } : { points, fill: true, erase };
  }

  move(points) {
    if (!this.shape) return;
    if (this.kind === "rectangle") {
      this.shape.points = corners(this.#start, points.at(-1));
      return;
    }
    const least = this.kind === "brush" ? this.shape.width / 16 : 1 / this.#view.scale;
    for (const point of points) {
      const last = this.shape.points.at(-1);
      if (Math.hypot(point[0] - last[0], point[1] - last[1]) > least) this.shape.points.push(point);
    }
  }

  // The shape, or null where it covers nothing.
  end() {
    const shape = this.shape;
    this.shape = null;
    return shape && shape.points.length >= (shape.fill ? 3 : 1) ? shape : null;
  }

  cancel() {
    this.shape = null;
  }
}

// The corner pixels of the rectangle between two points; none where it has no area.
function corners(start, end) {
  const [left, right] = [start[0], end[0]].map(Math.round).sort((a, b) => a - b);
  const [top, bottom] = [start[1], end[1]].map(Math.round).sort((a, b) => a - b);
  return left === right || top === bottom ? [] : boxCorners(left, top, right, bottom);
}

// The corner pixels of a box, which does not include its right and lower edge; see masks/shapes.py.
export function boxCorners(left, top, right, bottom) {
  return [[left, top], [right - 1, top], [right - 1, bottom - 1], [left, bottom - 1]];
}
