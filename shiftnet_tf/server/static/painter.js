// Drawing on the photo, by pointers and by the keyboard's cursor: from a tool to a shape of the mask.

import { $, say } from "./dom.js";

const MARK = 12; // CSS pixels, of the cursor of rectangle and lasso
const SHAPES = { brush: "stroke", rectangle: "rectangle", lasso: "lasso" };

export class Painter {
  isOn = false; // whether the mask can be changed now
  cursor = [0, 0]; // pixels of the photo
  byKeys = false; // whether the shape in progress is drawn by keys
  #view;
  #tools;
  #render;
  #onShape;
  #mayPinch = false; // whether the shape in progress may turn out to be the first finger of a pinch
  #size = [1, 1];
  #outlined = [0, 0];

  constructor(view, tools, render, onShape) {
    [this.#view, this.#tools, this.#render, this.#onShape] = [view, tools, render, onShape];
  }

  open(width, height) {
    this.#size = [width, height];
    this.cursor = [width / 2, height / 2].map(Math.round);
    this.cancel();
  }

  // The shape in progress, where it is to be seen.
  get shape() {
    return this.#mayPinch ? null : this.#tools.shape;
  }

  // -- pointers, see pointers.js

  begin(point, event) {
    if (!this.isOn) return;
    this.byKeys = false;
    this.#mayPinch = event.pointerType === "touch";
    this.#tools.begin(point, this.#tools.isErasing || event.button === 5);
    this.#render();
  }

  move(points) {
    this.#tools.move(points);
    this.#mayPinch &&= (this.#tools.shape?.points.length ?? 0) < 3;
    this.#render();
  }

  end() {
    const shape = this.#tools.end();
    this.#mayPinch = this.byKeys = false;
    if (shape && this.#isInside(shape)) this.#onShape(shape);
    this.#render();
  }

  cancel() {
    this.#tools.cancel();
    this.#mayPinch = this.byKeys = false;
    this.#render();
  }

  hover(event) {
    if (event === null || !this.isOn || this.#tools.kind !== "brush") return ($("outline").hidden = true);
    if (!this.byKeys) this.cursor = this.#clamped(this.#view.onPhoto(event));
    this.#outline(this.#view.onPhoto(event));
  }

  // -- the keyboard's cursor, see keys.js

  step(x, y) {
    this.cursor = this.#clamped([this.cursor[0] + x, this.cursor[1] + y]);
    this.#view.reveal(this.cursor);
    if (this.byKeys) this.move([this.cursor]);
    this.sayCursor();
  }

  enter() {
    if (!this.isOn) return;
    if (this.byKeys) {
      this.end();
    } else {
      this.#tools.begin(this.cursor);
      this.byKeys = true;
      this.#render();
    }
    this.sayCursor();
  }

  sayCursor() {
    if (!this.isOn) return;
    this.#outline(this.cursor);
    const [x, y] = this.cursor, what = SHAPES[this.#tools.kind];
    say(`Cursor at ${x}, ${y}. ${this.byKeys ? this.#progress(what) : `Enter starts a ${what}.`}`);
  }

  #progress(what) {
    const [[left, top] = [], , [right, bottom] = []] = this.#tools.shape.points;
    const isBox = this.#tools.kind === "rectangle" && right !== undefined;
    const size = isBox ? ` of ${right - left + 1} x ${bottom - top + 1} pixels` : "";
    return `Drawing a ${what}${size}: Enter ends it, Escape discards it.`;
  }

  // The outline of the brush again, after its size or the view has changed.
  refresh() {
    if (!$("outline").hidden) this.#outline(this.#outlined);
  }

  #outline(point) {
    this.#outlined = point;
    const [x, y] = point;
    const { left, top, scale } = this.#view;
    const diameter = this.#tools.kind === "brush" ? this.#tools.size : MARK;
    const corner = [left + x * scale, top + y * scale].map((at) => `${at - diameter / 2}px`);
    const { style } = $("outline");
    style.width = style.height = `${diameter}px`;
    style.transform = `translate(${corner.join()})`;
    $("outline").hidden = false;
  }

  #clamped(point) {
    return point.map((at, i) => Math.round(Math.min(Math.max(at, 0), this.#size[i])));
  }

  // Whether a shape covers part of the photo.
  #isInside({ points, width = 0 }) {
    return this.#size.every((length, i) => {
      const numbers = points.map((point) => point[i]);
      return Math.min(...numbers) - width / 2 < length && Math.max(...numbers) + width / 2 > 0;
    });
  }
}
