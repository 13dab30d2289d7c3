// The page: open a photo, brush a hole, have the server fill it, compare, save.
// The hole is kept as strokes in pixels of the upright photo, and is sent so, beside the photo's own bytes: the server
// draws and fills it as `shiftnet inpaint PHOTO --mask mask.json` does.
"use strict";

const $ = (id) => document.getElementById(id);
const [before, after, map, brush, photo] = ["before", "after", "map", "brush", "photo"].map($);
const state = { file: null, strokes: [], drawing: null, erasing: false, result: null, mask: null, pending: null };
const urls = new Map(); // <img> or <a> -> the object URL that it shows

function show(element, blob) {
  if (urls.has(element)) URL.revokeObjectURL(urls.get(element));
  urls.delete(element);
  const attribute = element.tagName === "A" ? "href" : "src";
  if (!blob) return element.removeAttribute(attribute);
  urls.set(element, URL.createObjectURL(blob));
  element[attribute] = urls.get(element);
}

function say(text, error = false) {
  $("status").textContent = text;
  $("status").classList.toggle("error", error);
}

// -- the photo ---------------------------------------------------------------------------------------------------------

async function open(file) {
  state.pending?.abort();
  show(before, file);
  try {
    await before.decode();
  } catch {
    show(before, state.file);
    return say(`This browser cannot show ${file.name}. The command can: shiftnet inpaint`, true);
  }
  Object.assign(state, { file, strokes: [], drawing: null, result: null });
  $("invitation").hidden = true;
  photo.hidden = false;
  say(`${file.name}, ${before.naturalWidth} x ${before.naturalHeight} pixels. Brush over what shall vanish.`);
  painting();
}

function layOut() {
  if (photo.hidden) return;
  const room = $("stage").getBoundingClientRect();
  const scale = Math.min((room.width - 16) / before.naturalWidth, (room.height - 16) / before.naturalHeight);
  photo.style.width = `${Math.max(1, Math.floor(before.naturalWidth * scale))}px`;
  photo.style.height = `${Math.max(1, Math.floor(before.naturalHeight * scale))}px`;
  const ratio = window.devicePixelRatio || 1;
  brush.width = Math.round(brush.clientWidth * ratio);
  brush.height = Math.round(brush.clientHeight * ratio);
  draw();
}

// -- the hole ----------------------------------------------------------------------------------------------------------

function draw() {
  const context = brush.getContext("2d");
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, brush.width, brush.height);
  context.scale(brush.width / before.naturalWidth, brush.height / before.naturalHeight);
  context.lineCap = context.lineJoin = "round";
  context.strokeStyle = context.fillStyle = "#ff2f5f";
  for (const stroke of state.drawing ? [...state.strokes, state.drawing] : state.strokes) {
    context.globalCompositeOperation = stroke.erase ? "destination-out" : "source-over";
    context.lineWidth = stroke.width;
    context.beginPath();
    if (stroke.points.length === 1) { // Chromium 156 does not draw a line of zero length, even with round caps
      context.arc(...stroke.points[0], stroke.width / 2, 0, 2 * Math.PI);
      context.fill();
      continue;
    }
    context.moveTo(...stroke.points[0]);
    for (const point of stroke.points.slice(1)) context.lineTo(...point);
    context.stroke();
  }
}

function place(event) {
  const box = brush.getBoundingClientRect();
  const scale = before.naturalWidth / box.width;
  return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale].map((x) => Math.round(x * 10) / 10);
}

function begin(event) {
  if (event.button !== 0 || state.result || state.pending) return;
  brush.setPointerCapture(event.pointerId);
  const width = Math.round((Number($("size").value) * before.naturalWidth) / brush.clientWidth * 10) / 10;
  state.drawing = { points: [place(event)], width, erase: state.erasing };
  draw();
}

function move(event) {
  if (!state.drawing) return;
  for (const each of event.getCoalescedEvents?.() ?? [event]) {
    const last = state.drawing.points.at(-1), next = place(each);
    if (Math.hypot(next[0] - last[0], next[1] - last[1]) > state.drawing.width / 16) state.drawing.points.push(next);
  }
  draw();
}

function end() {
  if (!state.drawing) return;
  state.strokes.push(state.drawing);
  state.drawing = null;
  painting();
}

function maskFile() {
  return new Blob([JSON.stringify({ strokes: state.strokes })], { type: "application/json" });
}

// -- filling -----------------------------------------------------------------------------------------------------------

async function ask(path, mask) {
  const form = new FormData();
  form.append("image", state.file, state.file.name);
  form.append("mask", mask, "mask.json");
  form.append("detail", $("detail").value);
  const pending = (state.pending = new AbortController());
  $("busy").hidden = false;
  tools();
  try {
    const token = sessionStorage.getItem("token"), headers = token ? { Authorization: `Bearer ${token}` } : {};
    const response = await fetch(path, { method: "POST", body: form, headers, signal: pending.signal });
    $("token-form").hidden = response.status !== 401;
    if (response.status === 401) {
      sessionStorage.removeItem("token");
      throw new Error(token ? "The server refused this token." : "The server asks for a token.");
    }
    if (!response.ok) {
      const text = (await response.json().catch(() => ({}))).error;
      throw new Error(text || `the server answered ${response.status}`);
    }
    const blob = await response.blob();
    return pending.signal.aborted ? [null, null] : [blob, response.headers];
  } catch (error) {
    if (error.name !== "AbortError") say(error instanceof TypeError ? "The server does not answer." : error.message, true);
    return [null, null];
  } finally {
    if (state.pending === pending) state.pending = null;
    $("busy").hidden = state.pending === null;
    tools();
  }
}

async function fill() {
  say("Filling ...");
  const started = performance.now(), mask = maskFile(), file = state.file;
  const [blob, said] = await ask("v1/inpaint", mask);
  if (!blob || state.file !== file) return;
  show(after, blob);
  try {
    await after.decode();
  } catch {
    return say("This browser cannot show the answer.", true);
  }
  if (state.file !== file) return;
  const ending = { "image/jpeg": "jpg", "image/tiff": "tif" }[blob.type] ?? blob.type.split("/")[1];
  const name = `${state.file.name.replace(/\.[^.]*$/, "")}-filled.${ending}`;
  state.result = new File([blob], name, { type: blob.type });
  show(map, null);
  show($("save"), state.result);
  $("save").download = name;
  state.mask = mask;
  show($("save-mask"), mask);
  const share = (100 * said.get("X-Shiftnet-Share")).toFixed(1), seconds = (performance.now() - started) / 1000;
  say(`Filled ${share} % of the photo in ${seconds.toFixed(1)} s (${said.get("X-Shiftnet-Plan")}).`);
  comparing();
}

async function toggleMap() {
  if (!map.hidden) return comparing();
  const result = state.result;
  if (!urls.has(map)) {
    const [blob] = await ask("v1/shift-map", state.mask);
    if (!blob || state.result !== result) return;
    show(map, blob);
    await map.decode();
  }
  if (state.result !== result) return;
  comparing(true);
  say("The hole has the colours of the places that it was filled from.");
}

// -- what is to be seen ------------------------------------------------------------------------------------------------

function painting() {
  state.result = null;
  for (const element of [after, map, $("divider"), $("comparing"), $("save"), $("save-mask")]) element.hidden = true;
  brush.hidden = $("painting").hidden = false;
  tools();
  $("paint").setAttribute("aria-pressed", String(!state.erasing));
  $("erase").setAttribute("aria-pressed", String(state.erasing));
  layOut();
}

function tools() {
  const busy = state.pending !== null;
  $("undo").disabled = $("clear").disabled = busy || !state.strokes.length;
  $("fill").disabled = busy || !state.strokes.some((stroke) => !stroke.erase);
  $("show-map").disabled = busy;
}

function comparing(withMap = false) {
  brush.hidden = $("painting").hidden = true;
  after.hidden = $("comparing").hidden = $("save").hidden = $("save-mask").hidden = false;
  map.hidden = !withMap;
  $("show-map").setAttribute("aria-pressed", String(withMap));
  layOut();
  divide();
}

function divide() {
  const share = 100 - Number($("compare").value); // of the width that shows the answer, from the right
  after.style.clipPath = `inset(0 0 0 ${100 - share}%)`;
  $("divider").hidden = share === 100 || share === 0 || !map.hidden;
  $("divider").style.left = `${100 - share}%`;
}

// -- events ------------------------------------------------------------------------------------------------------------

$("file").addEventListener("change", (event) => event.target.files[0] && open(event.target.files[0]));
brush.addEventListener("pointerdown", begin);
brush.addEventListener("pointermove", move);
for (const name of ["pointerup", "pointercancel"]) brush.addEventListener(name, end);
$("paint").addEventListener("click", () => { state.erasing = false; painting(); });
$("erase").addEventListener("click", () => { state.erasing = true; painting(); });
$("undo").addEventListener("click", () => { state.strokes.pop(); painting(); });
$("clear").addEventListener("click", () => { state.strokes = []; painting(); });
$("fill").addEventListener("click", fill);
$("compare").addEventListener("input", divide);
$("show-map").addEventListener("click", toggleMap);
$("back").addEventListener("click", () => { state.pending?.abort(); say(""); painting(); });
$("go-on").addEventListener("click", () => open(state.result));
$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", $("token").value.trim()); // of this tab alone, until it is closed
  $("token").value = "";
  $("token-form").hidden = true;
  if (!$("fill").disabled) fill();
});
window.addEventListener("resize", layOut);
window.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "z" && !$("painting").hidden) $("undo").click(); // if enabled
});
for (const name of ["dragover", "dragleave", "drop"]) {
  window.addEventListener(name, (event) => {
    event.preventDefault();
    $("stage").classList.toggle("over", name === "dragover");
    if (name === "drop" && event.dataTransfer.files[0]) open(event.dataTransfer.files[0]);
  });
}
