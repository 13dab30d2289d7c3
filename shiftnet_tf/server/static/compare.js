// Before and after: the photo before the fill on the left of a divider, the result on its right.

import { $ } from "./dom.js";

export class Comparison {
  #view;
  #size = [1, 1];
  #isShown = false;

  constructor(view) {
    this.#view = view;
    $("compare").addEventListener("input", () => this.render());
  }

  // Shows all of a new result.
  start(...size) {
    [this.#size, this.#isShown] = [size, true];
    $("compare").value = 0;
    this.render();
  }

  // Shows the result as it was left; hides the divider.
  show(isShown) {
    this.#isShown = isShown;
    this.render();
  }

  // A pointer, see pointers.js, drags the divider.
  begin([x]) {
    $("compare").value = Math.round((100 * x) / this.#size[0]);
    this.render();
  }

  move(points) {
    this.begin(points.at(-1));
  }

  end() {}

  cancel() {}

  hover() {}

  render() {
    const share = Number($("compare").value); // of the width that shows the photo before
    $("after").style.clipPath = this.#isShown ? `inset(0 0 0 ${share}%)` : "";
    $("compare").setAttribute("aria-valuetext", `before: left ${share} %, after: right ${100 - share} %`);
    const isSplit = this.#isShown && $("map").hidden;
    $("divider").hidden = !isSplit || share === 0 || share === 100;
    const { left, top, scale } = this.#view, [width, height] = this.#size.map((length) => length * scale);
    const place = { left: left + (share / 100) * width, top, height };
    for (const [name, pixels] of Object.entries(place)) $("divider").style[name] = `${pixels}px`;
    $("label-before").hidden = !isSplit || share === 0;
    $("label-after").hidden = !isSplit || share === 100;
  }
}
