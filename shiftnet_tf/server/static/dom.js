// Elements of the page, and files that they show.

export const $ = (id) => document.getElementById(id);
export const $$ = (selector) => document.querySelectorAll(selector);

export function say(text, isError = false) {
  if ($("status").textContent !== text) $("status").textContent = text; // else a screen reader may say it again
  $("status").classList.toggle("error", isError);
}

const shown = new Map(); // <img> or <a> -> { blob, url } of what it shows

// Shows a file in an <img>, or has an <a> link to it; null: nothing.
export function show(element, blob) {
  if (shown.get(element)?.blob === blob) return;
  if (shown.has(element)) URL.revokeObjectURL(shown.get(element).url);
  shown.delete(element);
  const attribute = element.tagName === "A" ? "href" : "src";
  if (!blob) return element.removeAttribute(attribute);
  shown.set(element, { blob, url: URL.createObjectURL(blob) });
  element[attribute] = shown.get(element).url;
}

export async function isShowable(blob) {
  const probe = new Image();
  show(probe, blob);
  try {
    await probe.decode();
    return true;
  } catch {
    return false;
  } finally {
    show(probe, null);
  }
}

export function download(file) {
  const link = document.createElement("a");
  show(link, file);
  link.download = file.name;
  link.click();
  setTimeout(() => show(link, null), 10_000);
}
