// Before and after: the photo before the fill on the left of a divider, the result on its right.

import { $ } from "./dom.js";

export class Comparison {
  #view;
  #width = 1;
  #isShown = false;

  constructor(view) {
    this.#view = view;
    $("compare").addEventListener("input", () => this.render());
  }

  // Shows all of a new result.
  start(width) {
    [this.#width, this.#isShown] = [width, true];
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
    $("compare").value = Math.round((100 * x) / this.#width);
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
    $("divider").style.left = `${this.#view.left + (share / 100) * this.#width * this.#view.scale}px`;
    $("label-before").hidden = !isSplit || share === 0;
    $("label-after").hidden = !isSplit || share === 100;
  }
}
