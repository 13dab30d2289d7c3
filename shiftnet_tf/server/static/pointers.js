// Mouse, pen and fingers on the stage: one of them draws; two fingers, the space bar and the wheel move the view.

const LINE = 16, NOTCH = 480; // pixels of a line of a wheel; pixels that zoom by e

// `hand` returns what a pointer does now: begin(point, event), move(points), end(), cancel(), hover(event or null).
export function watchPointers(stage, view, hand) {
  const fingers = new Map(); // id -> [x, y] on the stage
  let isPinch = false; // from the second finger on until the last one is lifted
  let active = null; // { id, type, last } of the pointer that draws, or pans where it has `last`
  let isSpaceDown = false;

  function begin(event) {
    if (event.pointerType === "touch") {
      if (active?.type === "pen") return; // the palm
      fingers.set(event.pointerId, view.onStage(event));
      if (fingers.size > 1) {
        hand().cancel();
        active = null;
        isPinch = true;
      }
    }
    if (active || isPinch) return;
    const pans = event.button === 1 || (event.button === 0 && isSpaceDown);
    if (!pans && event.button !== 0 && event.button !== 5) return; // 5: the eraser of a pen
    event.preventDefault();
    stage.focus({ preventScroll: true });
    stage.setPointerCapture(event.pointerId);
    active = { id: event.pointerId, type: event.pointerType, last: pans ? view.onStage(event) : null };
    if (!pans) hand().begin(view.onPhoto(event), event);
  }

  function move(event) {
    if (event.pointerType !== "touch") hand().hover(event);
    if (fingers.has(event.pointerId)) {
      if (isPinch) return pinch(event);
      fingers.set(event.pointerId, view.onStage(event));
    }
    if (active?.id !== event.pointerId) return;
    if (active.last) {
      const [x, y] = view.onStage(event);
      view.pan(x - active.last[0], y - active.last[1]);
      active.last = [x, y];
    } else {
      const events = event.getCoalescedEvents?.() ?? [];
      hand().move((events.length ? events : [event]).map((each) => view.onPhoto(each)));
    }
  }

  function pinch(event) {
    const [before, moved] = [[...fingers.values()].slice(0, 2), view.onStage(event)];
    fingers.set(event.pointerId, moved);
    const after = [...fingers.values()].slice(0, 2);
    if (after.length < 2) return;
    const middle = ([a, b]) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
    const apart = ([a, b]) => Math.max(Math.hypot(a[0] - b[0], a[1] - b[1]), 1);
    const [from, to] = [middle(before), middle(after)];
    view.pan(to[0] - from[0], to[1] - from[1]);
    view.zoom(apart(after) / apart(before), ...to);
  }

  function end(event) {
    fingers.delete(event.pointerId);
    isPinch &&= fingers.size > 0;
    if (active?.id !== event.pointerId) return;
    const draws = !active.last;
    active = null;
    if (draws) event.type === "pointerup" ? hand().end() : hand().cancel();
  }

  function wheel(event) {
    event.preventDefault();
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_PIXEL ? 1 : LINE;
    if (event.shiftKey) return view.pan(-unit * (event.deltaX || event.deltaY), 0);
    const speed = event.ctrlKey ? 4 : 1; // a trackpad's pinch comes as small steps with ctrlKey
    view.zoom(Math.exp((-speed * unit * event.deltaY) / NOTCH), ...view.onStage(event));
  }

  function space(event) {
    if (event.key !== " " || event.target !== stage) return;
    event.preventDefault();
    isSpaceDown = event.type === "keydown";
    stage.classList.toggle("pans", isSpaceDown);
  }

  stage.addEventListener("pointerdown", begin);
  stage.addEventListener("pointermove", move);
  stage.addEventListener("pointerup", end);
  stage.addEventListener("pointercancel", end);
  stage.addEventListener("pointerleave", () => hand().hover(null));
  stage.addEventListener("wheel", wheel, { passive: false });
  stage.addEventListener("keydown", space);
  stage.addEventListener("keyup", space);
  stage.addEventListener("blur", () => {
    isSpaceDown = false;
    stage.classList.remove("pans");
  });
  // Stops the scrolling that a press of the middle button starts.
  stage.addEventListener("mousedown", (event) => event.button === 1 && event.preventDefault());
}
