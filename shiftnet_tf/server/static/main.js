// The page: opens a photo, draws a mask, has the server fill it, compares, saves.
//
// The mask and the photo's own bytes go to the server, which fills them as `shiftnet inpaint PHOTO --mask MASK` does.

import { Overlay } from "./canvas.js";
import { Comparison } from "./compare.js";
import { $, download, isShowable, say, show } from "./dom.js";
import { Filler } from "./fill.js";
import { watchKeys } from "./keys.js";
import { Mask, readMask } from "./mask.js";
import { Painter } from "./painter.js";
import { watchPointers } from "./pointers.js";
import { Tools } from "./tools.js";
import { View } from "./view.js";

const HELP = {
  painting: "Arrow keys move the cursor, Enter starts and ends a shape, Escape drops it, plus and minus zoom.",
  comparing: "Arrow keys move the photo, plus and minus zoom.",
};
const [before, after, map, canvas] = ["before", "after", "map", "brush"].map($);
// result: { file, mask, fields, isFinal }, see fill(); opening: the file that is being opened
const state = { file: null, mask: null, result: null, opening: null };
const filler = new Filler(showTools);
const view = new View($("stage"), render);
const tools = new Tools(view);
const overlay = new Overlay(canvas, view);
const painter = new Painter(view, tools, render, (shape) => change((mask) => mask.add(shape)));
const comparison = new Comparison(view);

// -- photo and mask ----------------------------------------------------------------------------------------------------

async function open(file) {
  state.opening = file;
  const canShow = await isShowable(file);
  if (state.opening !== file) return;
  if (!canShow) {
    return say(`${file.name} is not an image that this browser can show; for TIFF and HEIC use shiftnet inpaint.`, true);
  }
  filler.cancel();
  show(before, file);
  await before.decode();
  const [width, height] = [before.naturalWidth, before.naturalHeight];
  Object.assign(state, { file, mask: new Mask(width, height), result: null });
  Object.assign($("photo").style, { width: `${width}px`, height: `${height}px` });
  $("invitation").hidden = true;
  for (const element of [$("photo"), canvas, $("zoom")]) element.hidden = false;
  painter.open(width, height);
  view.open(width, height);
  showTools();
  canvas.focus();
  $("outline").hidden = true;
  const refusal = filler.refuses(file, width * height);
  say(refusal || `${file.name}, ${width} x ${height} pixels. Brush over what you want to remove.`, refusal !== "");
}

async function openSample() {
  const answer = await fetch("static/sample.jpg").catch(() => null);
  if (!answer?.ok) return say("The server does not answer: is it still running?", true);
  await open(new File([await answer.blob()], "sample.jpg", { type: "image/jpeg" }));
}

async function loadMask(file) {
  if (!painter.isOn) return say("A mask can be loaded while its photo's mask is edited.", true);
  try {
    const shapes = await readMask(file, before.naturalWidth, before.naturalHeight);
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

function change(action) {
  if (!painter.isOn) return;
  painter.cancel();
  action(state.mask);
  showTools();
}

// -- filling -----------------------------------------------------------------------------------------------------------

// Shows the network's answer at once, and the one with copied detail when it is there.
async function fill() {
  const { file } = state, detail = $("detail").value, started = performance.now();
  let report = "";
  const isDone = await filler.run(async (ask) => {
    const mask = await state.mask.file();
    const refusal = filler.refuses(file, before.naturalWidth * before.naturalHeight, mask);
    if (refusal) throw new Error(refusal);
    const fields = { image: file, mask };
    for (const each of detail === "model" ? ["model"] : ["model", detail]) {
      const doing = state.result ? "This is the network's answer. Copying detail from the photo ..." : "Filling ...";
      const answer = await ask("v1/inpaint", { ...fields, detail: each }, doing);
      if (!answer) return false;
      const isFinal = each === detail;
      await showResult(answer.blob, mask, { ...fields, detail: each }, isFinal);
      const share = (100 * answer.header("X-Shiftnet-Share")).toFixed(1);
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      report = `Filled ${share} % of the photo in ${seconds} s (${answer.header("X-Shiftnet-Plan")}).`;
    }
    return true;
  });
  if (isDone) return say(report);
  if (state.file !== file || !state.result || state.result.isFinal) return;
  state.result.isFinal = true; // the network's answer stays where the other one was cancelled or failed
  if (!$("status").classList.contains("error")) say("Stopped: this is the network's answer.");
  showTools();
}

async function showResult(blob, mask, fields, isFinal) {
  if (!(await isShowable(blob))) throw new Error(`This browser cannot show the server's answer (${blob.type}).`);
  const isFirst = state.result === null;
  const ending = { "image/jpeg": "jpg", "image/tiff": "tif" }[blob.type] ?? blob.type.split("/")[1];
  const file = new File([blob], `${state.file.name.replace(/\.[^.]*$/, "")}-filled.${ending}`, { type: blob.type });
  state.result = { file, mask, fields, isFinal };
  show(after, file);
  await after.decode();
  show(map, null);
  map.hidden = true;
  if (isFirst) comparison.start(before.naturalWidth);
  showTools();
}

async function toggleSources() {
  if (!map.hidden) {
    map.hidden = true;
    return showTools();
  }
  const { result } = state;
  if (!map.hasAttribute("src")) {
    const blob = await filler.run(async (ask) => (await ask("v1/shift-map", result.fields, "Looking for the sources ..."))?.blob ?? null);
    if (!blob || state.result !== result) return;
    show(map, blob);
    await map.decode();
  }
  map.hidden = false;
  say("Filled regions have the colours of the places that they were filled from.");
  showTools();
}

function edit(text) {
  filler.cancel();
  state.result = null;
  showTools();
  canvas.focus();
  say(text);
}

function goOn() {
  state.mask.goOn(state.result.file);
  edit("Brush over what else you want to remove. All is filled together, from the original photo.");
}

// -- what is to be seen ------------------------------------------------------------------------------------------------

function render() {
  $("photo").style.transform = `translate(${view.left}px, ${view.top}px) scale(${view.scale})`;
  comparison.render();
  painter.refresh();
  if (state.mask) overlay.show(state.result ? null : state.mask.state, painter.shape);
}

function showTools() {
  const { mask, result } = state, isBusy = filler.isBusy, isPainting = mask !== null && result === null;
  painter.isOn = isPainting && !isBusy;
  $("painting").hidden = !isPainting;
  $("painting").disabled = isBusy;
  $("comparing").hidden = result === null;
  for (const element of [$("show-map"), $("go-on"), ...document.querySelectorAll("#comparing .save-mask")]) {
    element.disabled = isBusy;
  }
  $("save").hidden = !result?.isFinal;
  if (result) showComparison(result);
  else if (mask) showPainting(mask);
  render();
  const { activeElement } = document;
  if (activeElement.matches("body, :disabled") || !activeElement.checkVisibility()) (isBusy ? $("cancel") : isPainting ? canvas : $("compare")).focus();
}

function showComparison({ file }) {
  show($("save"), file);
  $("save").download = file.name;
  $("show-map").setAttribute("aria-pressed", String(!map.hidden));
  canvas.setAttribute("aria-label", "Filled photo");
  $("brush-keys").textContent = HELP.comparing;
  canvas.classList.add("compares");
  after.hidden = $("outline").hidden = false;
  $("outline").hidden = true;
  comparison.show(true);
}

function showPainting(mask) {
  const { filled } = mask.state;
  for (const button of document.querySelectorAll("[data-tool]")) {
    button.setAttribute("aria-pressed", String(button.dataset.tool === tools.kind));
  }
  $("erase").setAttribute("aria-pressed", String(tools.isErasing));
  $("undo").disabled = !mask.canUndo;
  $("redo").disabled = !mask.canRedo;
  $("clear").disabled = $("fill").disabled = !mask.isNew;
  document.querySelector("#painting .save-mask").disabled = !mask.state.shapes.length;
  $("original").hidden = filled === null;
  canvas.setAttribute("aria-label", "Photo, draw the mask here");
  $("brush-keys").textContent = HELP.painting;
  canvas.classList.remove("compares");
  map.hidden = true;
  after.hidden = filled === null;
  show(after, filled?.file ?? null);
  comparison.show(false);
}

// -- events ------------------------------------------------------------------------------------------------------------

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
for (const button of document.querySelectorAll("[data-tool]")) button.addEventListener("click", () => choose(button.dataset.tool));
for (const button of document.querySelectorAll(".save-mask")) button.addEventListener("click", saveMask);
$("size").addEventListener("input", () => resizeBrush(Number($("size").value)));

// After a click with the mouse, keys such as the space bar mean the photo again.
for (const button of document.querySelectorAll("#painting button, #zoom button")) {
  button.addEventListener("click", (event) => event.detail > 0 && !filler.isBusy && canvas.focus());
}
canvas.addEventListener("focus", () => canvas.matches(":focus-visible") && painter.sayCursor());
canvas.addEventListener("blur", () => ($("outline").hidden = true));

const pick = (input, action) => {
  input.addEventListener("change", () => {
    const [file] = input.files;
    input.value = ""; // so that the same file can be picked again
    if (file) action(file);
  });
};
pick($("file"), open);
pick($("mask-file"), loadMask);
window.addEventListener("paste", (event) => {
  const file = [...event.clipboardData.files].find(({ type }) => type.startsWith("image/"));
  if (file) open(file);
});
for (const name of ["dragover", "dragleave", "drop"]) {
  window.addEventListener(name, (event) => {
    event.preventDefault();
    $("stage").classList.toggle("over", name === "dragover");
    const file = name === "drop" && event.dataTransfer.files[0];
    if (file) file.name.endsWith(".json") ? loadMask(file) : open(file);
  });
}
$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  filler.useToken($("token").value.trim());
  $("token").value = "";
  if (painter.isOn && state.mask.isNew) fill();
});

const hand = (name) => (...values) => (state.result ? comparison[name]?.(...values) : painter[name](...values));
watchPointers(canvas, view, Object.fromEntries(["begin", "move", "end", "cancel", "hover"].map((name) => [name, hand(name)])));
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
$("privacy").textContent = isLocal ? "It stays on this machine." : `It is sent to ${location.host} alone.`;
