// Requests to the server: one at a time, with progress, cancelling, and true words for what goes wrong.

import { $, say } from "./dom.js";

const TRIES = 6; // of a request that the server is too busy for
const SAYS = { // where a proxy answers, without the server's sentence
  413: "the photo is larger than the server accepts",
  429: "the server is busy",
  502: "the server behind the proxy does not respond",
  503: "the server is busy or has stopped",
  504: "the server behind the proxy took too long",
};
const GONE = "The server does not respond. Is it still running? Your mask is kept: press Fill to try again.";

export class Filler {
  #onChange;
  #pending = null; // an AbortController
  #limits = {}; // { bytes, pixels, ... }, where the server has said them

  constructor(onChange) {
    this.#onChange = onChange;
    const read = async (answer) => (this.#limits = (await answer.json()).limits ?? {});
    fetch("healthz").then(read).catch(() => {});
  }

  get isBusy() {
    return this.#pending !== null;
  }

  // A sentence where the server would refuse a photo, else "".
  refuses({ name, size }, photoPixels, mask = null) {
    const { bytes = Infinity, pixels = Infinity } = this.#limits, million = (number) => (number / 1e6).toFixed(1);
    if (photoPixels > pixels) {
      const numbers = `${million(photoPixels)} million pixels; the server accepts up to ${million(pixels)} million`;
      return `${name} is too large: ${numbers}.`;
    }
    const sent = size + (mask?.size ?? 0), most = million(bytes);
    return sent > bytes ? `${name} is too large: ${million(sent)} MB; the server accepts up to ${most} MB.` : "";
  }

  useToken(token) {
    sessionStorage.setItem("token", token); // of this tab alone, until it is closed
    $("token-form").hidden = true;
  }

  // Cancels what is running, and says `text`.
  cancel(text = "") {
    this.#pending?.abort(text);
  }

  // Says what is being done; `share` is what of the request was sent, null where that is not known.
  #progress(text, share) {
    say(text);
    share === null ? $("progress").removeAttribute("value") : ($("progress").value = share);
  }

  // Runs a task, which gets `ask(path, fields, doing)` for its requests, and the signal by which it is cancelled; `ask`
  // returns { blob, header(name) }, null where it was cancelled.
  // Returns what the task returns, null where it failed: then the reason is said.
  async run(task) {
    this.cancel();
    const pending = (this.#pending = new AbortController());
    this.#showBusy();
    try {
      return await task((...request) => this.#ask(...request, pending.signal), pending.signal);
    } catch (error) {
      if (!pending.signal.aborted) say(error.message, true);
      return null;
    } finally {
      if (this.#pending === pending) {
        this.#pending = null;
        if (pending.signal.aborted && pending.signal.reason) say(pending.signal.reason);
        this.#showBusy();
      }
    }
  }

  #showBusy() {
    $("progress").hidden = $("cancel").hidden = !this.isBusy;
    this.#onChange();
  }

  // Has the server answer a form, again while it is too busy.
  async #ask(path, fields, doing, signal) {
    for (let tries = 1; !signal.aborted; tries++) {
      const request = await this.#send(path, fields, doing, signal);
      if (signal.aborted) break;
      $("token-form").hidden = request.status !== 401;
      if (request.status === 200) return { blob: request.response, header: (name) => request.getResponseHeader(name) };
      if (request.status !== 429 || tries === TRIES) throw new Error(await reasonOf(request));
      const given = request.getResponseHeader("Retry-After");
      const seconds = /^\d+$/.test(given) ? Number(given) : 1; // it may be a date
      this.#progress(`The server is busy. Retrying in ${seconds} s (${tries} of ${TRIES - 1}) ...`, null);
      await pause(1000 * seconds, signal);
    }
    return null;
  }

  // By XMLHttpRequest: `fetch` does not tell how much of a body has been sent.
  #send(path, fields, doing, signal) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest(), token = sessionStorage.getItem("token");
      request.open("POST", path);
      request.responseType = "blob";
      if (token) request.setRequestHeader("Authorization", `Bearer ${token}`);
      request.upload.onprogress = ({ loaded, total }) => loaded < total && this.#progress(doing, loaded / total);
      request.upload.onload = () => this.#progress(doing, null);
      request.onload = request.onabort = () => resolve(request);
      request.onerror = () => reject(new Error(GONE));
      signal.addEventListener("abort", () => request.abort(), { once: true });
      this.#progress(doing, null);
      request.send(formOf(fields));
    });
  }
}

function formOf(fields) {
  const form = new FormData();
  for (const [name, value] of Object.entries(fields)) form.append(name, value); // of a file with its name
  return form;
}

async function reasonOf(request) {
  const { status } = request;
  if (status === 401) {
    const hadToken = sessionStorage.getItem("token") !== null;
    sessionStorage.removeItem("token");
    setTimeout(() => $("token").focus()); // after the tools are there again
    return hadToken ? "The server rejected this token." : "The server requires a token.";
  }
  const text = await request.response.text();
  let said = SAYS[status] ?? `the server answered ${status}`;
  try {
    said = JSON.parse(text).error ?? said;
  } catch {} // the page of a proxy
  const again = status === 429 || status >= 500 ? " Press Fill to try again." : "";
  return `${said[0].toUpperCase()}${said.slice(1).replace(/\.$/, "")}.${again}`;
}

function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", resolve, { once: true });
  });
}
