// What the page holds, and what of it is to be seen: the photo, its mask while it is drawn, a result once it is there.

import { Overlay } from "./canvas.js";
import { Comparison } from "./compare.js";
import { $, $$, show } from "./dom.js";
import { Filler } from "./fill.js";
import { Painter } from "./painter.js";
import { Tools } from "./tools.js";
import { View } from "./view.js";

const HELP = {
  painting: "Arrow keys move the cursor, Enter starts and ends a shape, Escape discards it, plus and minus zoom.",
  comparing: "Arrow keys move the photo, plus and minus zoom.",
};
const [before, after, map, canvas] = ["before", "after", "map", "brush"].map($);
// result: { file, mask, fields, isFinal }, see results.js; opening: the file that is being opened
export const state = { file: null, mask: null, result: null, opening: null };
export const filler = new Filler(showTools);
export const view = new View($("stage"), render);
export const tools = new Tools(view);
export const painter = new Painter(view, tools, render, (shape) => change((mask) => mask.add(shape)));
export const comparison = new Comparison(view);
const overlay = new Overlay(canvas, view);

// Shows a new photo, which `before` has loaded.
export function showPhoto(file, mask) {
  filler.cancel();
  Object.assign(state, { file, mask, result: null });
  Object.assign($("photo").style, { width: `${mask.width}px`, height: `${mask.height}px` });
  $("invitation").hidden = true;
  for (const element of [$("photo"), canvas, $("zoom"), $("tools")]) element.hidden = false;
  painter.open(mask.width, mask.height);
  view.open(mask.width, mask.height);
  showTools();
  canvas.focus();
  $("outline").hidden = true;
}

// Changes the mask, where that is possible now.
export function change(action) {
  if (!painter.isOn) return;
  painter.cancel();
  action(state.mask);
  showTools();
}

function render() {
  $("photo").style.transform = `translate(${view.left}px, ${view.top}px) scale(${view.scale})`;
  comparison.render();
  painter.refresh();
  if (state.mask) overlay.show(state.result ? null : state.mask.state, painter.shape);
}

export function showTools() {
  const { mask, result } = state, isBusy = filler.isBusy, isPainting = mask !== null && result === null;
  painter.isOn = isPainting && !isBusy;
  $("painting").hidden = !isPainting;
  $("painting").disabled = isBusy;
  $("comparing").hidden = result === null;
  for (const element of $$("#show-map, #go-on, #comparing .save-mask")) element.disabled = isBusy;
  $("save").hidden = !result?.isFinal;
  if (result) showComparison(result);
  else if (mask) showPainting(mask);
  render();
  const hasLostFocus = document.activeElement.matches("body, :disabled, [hidden], [hidden] *");
  if (hasLostFocus) (isBusy ? $("cancel") : isPainting ? canvas : $("compare")).focus();
}

function showComparison({ file }) {
  show($("save"), file);
  $("save").download = file.name;
  $("show-map").setAttribute("aria-pressed", String(!map.hidden));
  canvas.setAttribute("aria-label", "Filled photo");
  $("brush-keys").textContent = HELP.comparing;
  canvas.classList.add("compares");
  $("outline").hidden = true;
  after.hidden = false;
  comparison.show(true);
}

function showPainting(mask) {
  const { filled } = mask.state;
  for (const button of $$("[data-tool]")) {
    button.setAttribute("aria-pressed", String(button.dataset.tool === tools.kind));
  }
  $("erase").setAttribute("aria-pressed", String(tools.isErasing));
  $("undo").disabled = !mask.canUndo;
  $("redo").disabled = !mask.canRedo;
  $("clear").disabled = $("fill").disabled = !mask.isNew;
  $$("#painting .save-mask")[0].disabled = !mask.state.shapes.length;
  $("original").hidden = filled === null;
  canvas.setAttribute("aria-label", "Photo, draw the mask here");
  $("brush-keys").textContent = HELP.painting;
  canvas.classList.remove("compares");
  map.hidden = true;
  after.hidden = filled === null;
  show(after, filled?.file ?? null);
  comparison.show(false);
}
