// A notice that was in view says once that it was read. Without scripts the button says it.
(() => {
  "use strict";
  const form = document.querySelector("form[data-read]");
  if (!form) return;
  const told = () => {
    if (document.visibilityState !== "visible") return;
    document.removeEventListener("visibilitychange", wait);
    const fields = new URLSearchParams(new FormData(form));
    fields.set("answer", "read");
    fetch(form.action, { method: "POST", body: fields, credentials: "same-origin", redirect: "manual" });
  };
  const wait = () => { if (document.visibilityState === "visible") setTimeout(told, 1500); };
  document.addEventListener("visibilitychange", wait);
  wait();
})();
