// The page: opens a photo, draws a mask, has the server fill it, compares, saves.
//
// The mask and the photo's own bytes go to the server, which fills them as `shiftnet inpaint PHOTO --mask MASK` does.

import { $, $$, download, isShowable, say, show } from "./dom.js";
import { watchFiles } from "./files.js";
import { watchKeys } from "./keys.js";
import { Mask, readMask } from "./mask.js";
import { change, comparison, filler, painter, showPhoto, showTools, state, tools, view } from "./page.js";
import { watchPointers } from "./pointers.js";
import { edit, fill, goOn, toggleSources } from "./results.js";

const canvas = $("brush");

async function open(file) {
  state.opening = file;
  const canShow = await isShowable(file);
  if (state.opening !== file) return;
  if (!canShow) {
    const other = "for TIFF and HEIC, use shiftnet inpaint";
    return say(`${file.name} is not an image that this browser can show; ${other}.`, true);
  }
  show($("before"), file);
  await $("before").decode();
  const { naturalWidth: width, naturalHeight: height } = $("before");
  showPhoto(file, new Mask(width, height));
  const refusal = filler.refuses(file, width * height);
  say(refusal || `${file.name}, ${width} x ${height} pixels. Brush over what you want to remove.`, refusal !== "");
}

async function openSample() {
  const answer = await fetch("static/sample.jpg").catch(() => null);
  if (!answer?.ok) return say("The server does not respond. Is it still running?", true);
  await open(new File([await answer.blob()], "sample.jpg", { type: "image/jpeg" }));
}

async function loadMask(file) {
  if (!painter.isOn) return say("Open a photo, or choose Edit mask, before you load a mask.", true);
  try {
    const shapes = await readMask(file, state.mask.width, state.mask.height);
    change((mask) => mask.add(...shapes));
    say(`Loaded ${file.name}.`);
  } catch (error) {
    say(error.message, true);
  }
}

async function saveMask() {
  try {
    download(state.result?.mask ?? (await state.mask.file()));
  } catch (error) {
    say(error.message, true);
  }
}

function choose(kind) {
  if (!painter.isOn) return;
  painter.cancel();
  tools.kind = kind;
  $("outline").hidden = true;
  showTools();
}

function toggleErase() {
  if (!painter.isOn) return;
  tools.isErasing = !tools.isErasing;
  showTools();
}

function resizeBrush(size) {
  tools.resize(size);
  $("size").value = tools.size;
  painter.refresh();
}

function escape() {
  if (tools.shape) painter.cancel();
  else filler.cancel("Cancelled.");
}

const clicks = {
  open: () => $("file").click(),
  "open-first": () => $("file").click(),
  sample: openSample,
  help: () => $("keys").showModal(),
  cancel: () => filler.cancel("Cancelled."),
  erase: toggleErase,
  undo: () => change((mask) => mask.undo()),
  redo: () => change((mask) => mask.redo()),
  clear: () => change((mask) => mask.clear()),
  original: () => change((mask) => mask.goOn(null)),
  "load-mask": () => $("mask-file").click(),
  fill,
  "show-map": toggleSources,
  back: () => edit("Edit the mask, then fill again."),
  "go-on": goOn,
  "zoom-in": () => view.zoom(1.25),
  "zoom-fit": () => view.fit(),
  "zoom-out": () => view.zoom(0.8),
};
for (const [id, action] of Object.entries(clicks)) $(id).addEventListener("click", action);
for (const button of $$("[data-tool]")) button.addEventListener("click", () => choose(button.dataset.tool));
for (const button of $$(".save-mask")) button.addEventListener("click", saveMask);
$("size").addEventListener("input", () => resizeBrush(Number($("size").value)));

// After a click with the mouse, keys such as the space bar mean the photo again.
for (const button of $$("#painting button, #zoom button")) {
  button.addEventListener("click", (event) => event.detail > 0 && !filler.isBusy && canvas.focus());
}
canvas.addEventListener("focus", () => canvas.matches(":focus-visible") && painter.sayCursor());
canvas.addEventListener("blur", () => ($("outline").hidden = true));

watchFiles(open, loadMask);
$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  filler.useToken($("token").value.trim());
  $("token").value = "";
  if (painter.isOn && state.mask.isNew) fill();
});

watchPointers(canvas, view, () => (state.result ? comparison : painter));
watchKeys($("editor"), canvas, view, painter, {
  b: () => choose("brush"),
  r: () => choose("rectangle"),
  l: () => choose("lasso"),
  e: toggleErase,
  "[": () => resizeBrush(tools.size / 1.25),
  "]": () => resizeBrush(tools.size * 1.25),
  "Ctrl+z": clicks.undo,
  "Ctrl+y": clicks.redo,
  "Ctrl+Shift+z": clicks.redo,
  "Ctrl+enter": () => painter.isOn && state.mask.isNew && fill(),
  Escape: escape,
});
const isLocal = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
const place = isLocal ? "stays on this machine" : `is sent only to ${location.host}`;
$("privacy").textContent = `Your photo ${place}.`;
