// The part of the photo that is seen: its scale and place on the stage, in CSS pixels of the stage.

const MARGIN = 8; // around a photo that fits
const MOST = 16; // screen pixels for a pixel of the photo

export class View {
  scale = 1;
  left = 0;
  top = 0;
  #stage;
  #width = 1;
  #height = 1;
  #onChange;
  #isFitted = true;

  constructor(stage, onChange) {
    this.#stage = stage;
    this.#onChange = onChange;
    const resize = () => (this.#isFitted ? this.fit() : this.#moveTo(this.scale, this.left, this.top));
    new ResizeObserver(resize).observe(stage);
  }

  open(width, height) {
    [this.#width, this.#height] = [width, height];
    this.fit();
  }

  fit() {
    const scale = this.#fitting();
    const { clientWidth, clientHeight } = this.#stage;
    this.#moveTo(scale, (clientWidth - this.#width * scale) / 2, (clientHeight - this.#height * scale) / 2);
    this.#isFitted = true;
  }

  // Zooms so that the point of the photo at (x, y) of the stage stays there; without it, around the middle.
  zoom(factor, x = this.#stage.clientWidth / 2, y = this.#stage.clientHeight / 2) {
    const least = this.#fitting() / 2;
    const scale = Math.min(Math.max(this.scale * factor, least), Math.max(MOST, 2 * least));
    const grown = scale / this.scale;
    this.#moveTo(scale, x - (x - this.left) * grown, y - (y - this.top) * grown);
  }

  pan(x, y) {
    this.#moveTo(this.scale, this.left + x, this.top + y);
  }

  // Pans as little as shows a point of the photo.
  reveal([x, y]) {
    const { clientWidth, clientHeight } = this.#stage;
    const [seenX, seenY] = [this.left + x * this.scale, this.top + y * this.scale];
    const inside = (at, room) => Math.min(Math.max(at, 2 * MARGIN), room - 2 * MARGIN) - at;
    const [moveX, moveY] = [inside(seenX, clientWidth), inside(seenY, clientHeight)];
    if (moveX || moveY) this.pan(moveX, moveY);
  }

  // The point of the stage that an event names, from its upper left corner.
  onStage(event) {
    const box = this.#stage.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  // The point of the photo that an event names, to a tenth of a pixel.
  onPhoto(event) {
    const [x, y] = this.onStage(event);
    return [(x - this.left) / this.scale, (y - this.top) / this.scale].map((at) => Math.round(at * 10) / 10);
  }

  middle() {
    const { clientWidth, clientHeight } = this.#stage;
    return [(clientWidth / 2 - this.left) / this.scale, (clientHeight / 2 - this.top) / this.scale].map(Math.round);
  }

  #fitting() {
    const { clientWidth, clientHeight } = this.#stage;
    const rooms = [(clientWidth - 2 * MARGIN) / this.#width, (clientHeight - 2 * MARGIN) / this.#height];
    return Math.max(Math.min(...rooms), 0.001);
  }

  #moveTo(scale, left, top) {
    const { clientWidth, clientHeight } = this.#stage;
    const kept = 5 * MARGIN; // of the photo stays on the stage
    const limit = (at, length, room) => Math.min(Math.max(at, kept - length), room - kept);
    this.scale = scale;
    this.left = limit(left, this.#width * scale, clientWidth);
    this.top = limit(top, this.#height * scale, clientHeight);
    this.#isFitted = false;
    this.#onChange();
  }
}
