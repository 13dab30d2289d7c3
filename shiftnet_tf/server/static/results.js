// Filling, and what can be done with a result.

import { $, isShowable, say, show } from "./dom.js";
import { comparison, filler, showTools, state } from "./page.js";

const [before, after, map] = ["before", "after", "map"].map($);

// Shows the network's prediction at once, and the one with copied detail when it is there.
export async function fill() {
  const { file } = state, detail = $("detail").value, started = performance.now();
  let report = "";
  const isDone = await filler.run(async (ask, signal) => {
    const mask = await state.mask.file();
    const refusal = filler.refuses(file, before.naturalWidth * before.naturalHeight, mask);
    if (refusal) throw new Error(refusal);
    const fields = { image: file, mask };
    for (const each of detail === "model" ? ["model"] : ["model", detail]) {
      const doing = state.result ? "This is the network's result. Copying detail from the photo ..." : "Filling ...";
      const answer = await ask("v1/inpaint", { ...fields, detail: each }, doing);
      if (!answer || !(await showResult(answer.blob, mask, { ...fields, detail: each }, each === detail, signal))) {
        return false;
      }
      const share = (100 * answer.header("X-Shiftnet-Share")).toFixed(1);
      const seconds = ((performance.now() - started) / 1000).toFixed(1);
      report = `Filled ${share} % of the photo in ${seconds} s (${answer.header("X-Shiftnet-Plan")}).`;
    }
    return true;
  });
  if (isDone) return say(report);
  if (state.file !== file || !state.result || state.result.isFinal) return;
  state.result.isFinal = true; // the network's prediction stays where the other one was cancelled or failed
  const isError = $("status").classList.contains("error");
  const reason = isError ? $("status").textContent : "Stopped.";
  say(`${reason} This is the network's result, without copied detail.`, isError);
  showTools();
}

// Returns false where `signal` aborted meanwhile.
async function showResult(blob, mask, fields, isFinal, signal) {
  if (!(await isShowable(blob))) throw new Error(`This browser cannot show the server's result (${blob.type}).`);
  if (signal.aborted) return false;
  const isFirst = state.result === null;
  const ending = { "image/jpeg": "jpg", "image/tiff": "tif" }[blob.type] ?? blob.type.split("/")[1];
  const file = new File([blob], `${state.file.name.replace(/\.[^.]*$/, "")}-filled.${ending}`, { type: blob.type });
  state.result = { file, mask, fields, isFinal };
  show(after, file);
  await after.decode();
  show(map, null);
  map.hidden = true;
  if (isFirst) comparison.start(before.naturalWidth, before.naturalHeight);
  showTools();
  return !signal.aborted;
}

export async function toggleSources() {
  if (!map.hidden) {
    map.hidden = true;
    return showTools();
  }
  const { result } = state;
  if (!map.hasAttribute("src")) {
    const answer = await filler.run((ask) => ask("v1/shift-map", result.fields, "Finding the sources ..."));
    if (!answer || state.result !== result) return;
    show(map, answer.blob);
    await map.decode();
  }
  map.hidden = false;
  say("Each filled region has the colour of the place it was filled from.");
  showTools();
}

export function edit(text) {
  filler.cancel();
  state.result = null;
  showTools();
  $("brush").focus();
  say(text);
}

export function goOn() {
  state.mask.goOn(state.result.file);
  edit("Brush over what else you want to remove; everything is filled from the original photo.");
}
