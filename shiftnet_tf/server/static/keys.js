// The keyboard: arrow keys and Enter draw on the photo; letters and signs choose tools, zoom and undo.

const STEP = 10, LARGE_STEP = 50, ZOOM = 1.25; // CSS pixels, CSS pixels, factor
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const ZOOMS = { "+": ZOOM, "=": ZOOM, "-": 1 / ZOOM };
const FIELDS = "input:not([type=range]), select"; // in which keys have their own meaning

// Arrows and Enter work on the photo, `actions` of one sign in the editor, where they disturb nobody who dictates, and
// those named "Escape" and "Ctrl+..." on the whole page.
export function watchKeys(editor, canvas, view, painter, actions) {
  canvas.addEventListener("keydown", (event) => {
    const arrow = ARROWS[event.key];
    if (hasModifier(event) || !(arrow || event.key === "Enter")) return;
    event.preventDefault();
    if (!arrow) return painter.enter();
    const step = event.shiftKey ? LARGE_STEP : STEP;
    if (!painter.isOn) return view.pan(-arrow[0] * step, -arrow[1] * step);
    const length = Math.max(step / view.scale, 1);
    painter.step(arrow[0] * length, arrow[1] * length);
  });

  editor.addEventListener("keydown", (event) => {
    if (hasModifier(event) || event.target.matches(FIELDS)) return;
    if (ZOOMS[event.key]) view.zoom(ZOOMS[event.key]);
    else if (event.key === "0") view.fit();
    else if (event.key.length === 1) actions[event.key.toLowerCase()]?.();
  });

  window.addEventListener("keydown", (event) => {
    if (event.target.closest?.("dialog")) return;
    if (event.key === "Escape") return actions.Escape();
    if (!(event.ctrlKey || event.metaKey) || event.target.matches(FIELDS)) return;
    const action = actions[`Ctrl+${event.shiftKey ? "Shift+" : ""}${event.key.toLowerCase()}`];
    if (!action) return;
    event.preventDefault();
    action();
  });
}

function hasModifier(event) {
  return event.ctrlKey || event.metaKey || event.altKey;
}
