// Files that come to the page: picked, pasted or dropped.

import { $ } from "./dom.js";

export function watchFiles(openPhoto, openMask) {
  pick($("file"), openPhoto);
  pick($("mask-file"), openMask);
  window.addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].find(({ type }) => type.startsWith("image/"));
    if (file) openPhoto(file);
  });
  for (const name of ["dragover", "dragleave", "drop"]) {
    window.addEventListener(name, (event) => {
      event.preventDefault();
      $("stage").classList.toggle("over", name === "dragover");
      const file = name === "drop" && event.dataTransfer.files[0];
      if (file) (file.name.endsWith(".json") ? openMask : openPhoto)(file);
    });
  }
}

function pick(input, action) {
  input.addEventListener("change", () => {
    const [file] = input.files;
    input.value = ""; // so that the same file can be picked again
    if (file) action(file);
  });
}
