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
  // What a head-count keeps on this phone goes with whoever signs out, and after a day by itself.
  const forget = () => {
    for (const key of ["headcount-kept", "headcount-unsent"]) localStorage.removeItem(key);
    if (window.caches) caches.delete("headcount");
    indexedDB.deleteDatabase("headcount");
  };
  try {
    const kept = Number(localStorage.getItem("headcount-kept"));
    if (kept && Date.now() - kept > 24 * 3600 * 1000) forget();
  } catch { /* no storage, nothing kept */ }
  document.addEventListener("submit", (event) => {
    if (!/\/sign-out(-everywhere)?$/.test(event.target.action)) return;
    let unsent = null;
    try { unsent = localStorage.getItem("headcount-unsent"); } catch { return; }
    const asks = document.documentElement.lang === "en"
      ? `${unsent} head-count marks are not sent yet and would be lost. Sign out all the same?`
      : `还有 ${unsent} 项点名没有传上去，退出后会丢失。仍要退出吗？`;
    if (unsent && !confirm(asks)) { event.preventDefault(); event.stopImmediatePropagation(); return; }
    try { forget(); } catch { /* as above */ }
  }, true);
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
