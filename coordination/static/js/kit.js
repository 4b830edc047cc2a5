// Small conveniences. Every page works without this file.
(() => {
  "use strict";
  const summary = document.querySelector("[data-focus]");
  if (summary) summary.focus();
  document.addEventListener("click", async (event) => {
    const target = event.target.closest("[data-copy], [data-dialog], [data-close]");
    if (!target) return;
    if (target.dataset.copy !== undefined) {
      const source = document.getElementById(target.dataset.copy);
      if (!source) return;
      try { await navigator.clipboard.writeText(source.value); }
      catch { source.select(); document.execCommand("copy"); }
      const said = target.querySelector("[role=status]");
      if (said) said.textContent = target.dataset.done || "";
      return;
    }
    if (target.dataset.dialog !== undefined) {
      const dialog = document.getElementById(target.dataset.dialog);
      if (dialog && dialog.showModal) { event.preventDefault(); dialog.showModal(); }
      return;
    }
    const open = target.closest("dialog");
    if (open) { event.preventDefault(); open.close(); }
  });
  // One press sends one form: a second press within the same page is ignored.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post" || event.submitter?.name === "_lang") return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "1";
    setTimeout(() => { delete form.dataset.sent; }, 4000);
  });
  const reveal = () => {
    for (const button of document.querySelectorAll("[data-needs-js]")) button.hidden = false;
  };
  reveal();
  // A part that is still changing is fetched anew, and all of the page once it has come to rest:
  // in place, so that nobody loses the line they were reading.
  const live = document.querySelector("[data-live][id]");
  if (live) {
    const refresh = async () => {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (!answer.ok || answer.redirected) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.getElementById(live.id);
      if (fresh && fresh.dataset.live !== undefined) { live.replaceChildren(...fresh.childNodes); return; }
      clearInterval(timer);
      document.querySelector("main").replaceWith(page.querySelector("main"));
      reveal();
    };
    const timer = setInterval(() => { if (!document.hidden) refresh().catch(() => {}); }, Number(live.dataset.live) * 1000);
  }
})();
