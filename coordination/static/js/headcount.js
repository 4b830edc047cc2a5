// The head-count on a phone: every tap is kept here first and sent when there is signal.
// Without this file the page is a form of tick boxes; nothing below decides who is missing.
(() => {
  "use strict";
  const source = document.getElementById("headcount-data");
  const form = document.getElementById("headcount");
  if (!source || !form) return;
  const data = JSON.parse(source.textContent), words = data.words, store = window.headcountStore;
  const DAY = 24 * 3600 * 1000, LOOK = 10000, PAUSE = 4000, DOUBLE = 700, BATCH = 200;
  const KEPT = "headcount-kept", UNSENT = "headcount-unsent"; // kit.js reads them
  const key = `${data.person}-${data.session}-${data.class}`;
  const list = form.querySelector(".count-list");
  const $ = (what) => document.querySelector(what);
  const rows = list ? [...list.children].map((li, order) => ({ li, order, id: Number(li.dataset.child),
    name: li.dataset.name, box: li.querySelector("input"), said: li.querySelector("[data-said]") })) : [];
  let state = data.state, waiting = [], done = [], trouble = "", refused = 0, onlyMissing = false, busy = null;
  let stale = false;

  const asked = new URLSearchParams(location.search).get("stage");
  // a kept page may be of another stage than the address asks for
  const stage = () => asked && state.stages.some((s) => s.code === asked) ? asked : data.stage;
  const line = () => state.stages.find((s) => s.code === stage());
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name]);

  const newest = (child) => waiting.findLast((t) => t.child === child && t.stage === stage());
  const isHere = (child) => {
    const tap = newest(child);
    if (tap) return tap.mark === "here";
    return Boolean(line().marks[child]?.here);
  };

  const render = () => {
    const expected = new Set(line().expected);
    let here = 0;
    for (const row of rows) {
      row.listed = expected.has(row.id);
      row.here = isHere(row.id);
      if (row.listed && row.here) here += 1;
      row.box.checked = row.here;
      const tap = newest(row.id), known = line().marks[row.id];
      row.said.textContent = !row.here ? words.missing
        : tap ? `${words.here} ${clock(tap.at)}` : `${words.here} ${known.at} ${known.by}`;
      if (!row.listed) row.li.hidden = true;
    }
    const missing = expected.size - here;
    $("[data-here]").textContent = here;
    $("[data-expected]").textContent = expected.size;
    const short = $("[data-short]");
    const said = missing ? `▲ ${fill(words.short, { n: missing })}` : `✓ ${words.complete}`;
    if (short.textContent !== said) short.textContent = said;
    short.classList.toggle("ok", !missing);
    for (const name of document.querySelectorAll("[data-stage-name]")) name.textContent = data.names[stage()];
    for (const link of document.querySelectorAll("[data-stage]")) {
      if (link.dataset.stage === stage()) link.setAttribute("aria-current", "step"); else link.removeAttribute("aria-current");
    }
    for (const part of document.querySelectorAll("[data-only-stage]")) part.hidden = stage() !== data.stage;
    const finish = $("[data-finish]");
    if (finish) finish.hidden = stage() !== state.current;
    form.elements.stage.value = stage();
    const undo = $("[data-undo]");
    if (undo) undo.disabled = !done.length;
    sync();
  };

  const clock = (at) => {
    const when = new Date(at);
    return `${String(when.getHours()).padStart(2, "0")}:${String(when.getMinutes()).padStart(2, "0")}`;
  };

  const sync = () => {
    const parts = [];
    if (waiting.length) parts.push(waiting.length === 1 ? words.unsent_one : fill(words.unsent, { n: waiting.length }));
    if (refused) parts.push(fill(words.refused, { n: refused }));
    if (trouble) parts.push(trouble);
    const text = parts.length ? `▲ ${parts.join(" · ")}` : `✓ ${words.all_sent}`;
    const at = $("[data-sync]");
    if (at.textContent !== text) at.textContent = text;
    at.classList.toggle("waits", parts.length > 0);
    try {
      if (waiting.length) localStorage.setItem(UNSENT, waiting.length); else localStorage.removeItem(UNSENT);
    } catch { /* no storage: said already */ }
  };

  // Rows move only after the thumb has rested: whoever taps quickly must not hit the next child.
  let rest;
  const later = () => { clearTimeout(rest); rest = setTimeout(settle, PAUSE); };
  const settle = () => {
    if (stale && !waiting.length && !trouble) { location.reload(); return; }
    if (!list) return;
    const focused = document.activeElement;
    const sorted = [...rows].sort((a, b) => (a.here - b.here) || (a.order - b.order));
    if (sorted.some((row, i) => list.children[i] !== row.li)) {
      list.append(...sorted.map((row) => row.li));
      if (list.contains(focused)) focused.focus({ preventScroll: true });
    }
    for (const row of rows) row.li.hidden = !row.listed || (onlyMissing && row.here);
  };

  const newId = () => {
    if (crypto.randomUUID) return crypto.randomUUID();
    const b = crypto.getRandomValues(new Uint8Array(16));
    b[6] = (b[6] & 15) | 64; b[8] = (b[8] & 63) | 128;
    const hex = [...b].map((x) => x.toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  };

  const mark = async (child, here) => {
    const tap = { id: newId(), key, child, stage: stage(), mark: here ? "here" : "away", at: Date.now() };
    waiting.push(tap);
    // shown as marked only once it lies on the phone, or the person is told that it does not
    try { await store.keep(tap); } catch { trouble = words.not_kept; }
    render();
    later();
    send();
  };

  const take = (fresh) => {
    if (fresh.at < state.at) return;
    const was = line().closed;
    state = fresh;
    store.keepState(key, state).catch(() => {});
    // somebody else finished this stage, or the list has a child that the page has not: fetched anew
    // as soon as the thumb rests
    stale = line().closed !== was || line().expected.some((id) => !rows.some((row) => row.id === id));
    if (stale) later();
  };

  const call = async (taps, again = true) => {
    const init = { headers: { Accept: "application/json" }, credentials: "same-origin", cache: "no-store" };
    if (taps.length) {
      init.method = "POST";
      init.headers["Content-Type"] = "application/json";
      init.headers["X-CSRFToken"] = state.token;
      init.body = JSON.stringify({ now: Date.now(), taps: taps.map(({ id, child, stage: at_stage, mark: m, at }) => ({ id, child, stage: at_stage, mark: m, at })) });
    }
    let answer;
    try { answer = await fetch(taps.length ? data.marks_url : data.state_url, init); }
    catch { trouble = words.no_signal; return false; }
    if (answer.redirected || answer.status === 401) {
      // signed out here or from elsewhere: the names go at once, the marks wait for the same person
      if (window.caches) caches.open("headcount").then((kept) => kept.delete(location.pathname)).catch(() => {});
      trouble = words.sign_in;
      return false;
    }
    const body = await answer.json().catch(() => null);
    if (answer.ok && body) {
      trouble = "";
      if (body.outcome) {
        // whatever the server has judged is not sent again
        refused += Object.values(body.outcome).filter((what) => what === "refused").length;
        const judged = taps.filter((t) => t.id in body.outcome).map((t) => t.id);
        await store.drop(judged).catch(() => {});
        waiting = waiting.filter((t) => !judged.includes(t.id));
      }
      take(body.state);
      return true;
    }
    if (answer.status === 403 && body?.code === "session_expired" && again) {
      // signed in anew since the page was kept: its token is another
      return await call([], false) && call(taps, false);
    }
    trouble = body?.detail || words.no_signal;
    return false;
  };

  const send = () => busy ??= (async () => {
    try {
      let fine;
      do { fine = await call(waiting.slice(0, BATCH)); } while (fine && waiting.length);
      return fine;
    } finally { busy = null; render(); }
  })();

  // The kept page, the state and what was sent long ago go when the day is over.
  const tidy = async () => {
    const old = Date.now() - DAY;
    const states = await store.states(), taps = await store.taps();
    for (const one of states) if (one.kept < old || !one.key.startsWith(`${data.person}-`)) await store.dropState(one.key);
    await store.drop(taps.filter((t) => t.at < old).map((t) => t.id));
    if (state.over && !waiting.length) {
      await store.dropState(key);
      if (window.caches) await (await caches.open("headcount")).delete(location.pathname);
    } else {
      localStorage.setItem(KEPT, Date.now());
    }
  };

  const keepPage = async () => {
    if (!navigator.serviceWorker || state.over) return;
    await navigator.serviceWorker.register(data.worker_url, { scope: "/activities/sessions/" });
    const { active } = await navigator.serviceWorker.ready;
    navigator.serviceWorker.addEventListener("message", (event) => {
      if (event.data?.kept) document.documentElement.dataset.headcountKept = event.data.kept;
    });
    const parts = [...document.querySelectorAll("link[rel~=stylesheet], link[rel~=icon], script[src]")].map((e) => e.href || e.src);
    active.postMessage({ path: location.pathname, parts });
  };

  let last = { child: 0, at: 0 };
  list?.addEventListener("change", (event) => {
    const child = Number(event.target.value), now = performance.now();
    const twice = last.child === child && now - last.at < DOUBLE;
    last = { child, at: now };
    // a wet thumb often touches twice
    if (twice) { event.target.checked = isHere(child); return; }
    done.push(child);
    mark(child, event.target.checked);
  });
  document.addEventListener("pointerdown", later);
  document.addEventListener("scroll", later, { passive: true });
  $("[data-undo]")?.addEventListener("click", () => {
    const child = done.pop();
    if (child === undefined) return;
    const row = rows.find((r) => r.id === child);
    mark(child, !isHere(child));
    row.li.hidden = false;
    row.li.scrollIntoView({ block: "center" });
  });
  $("[data-filter]")?.addEventListener("click", (event) => {
    onlyMissing = !onlyMissing;
    event.target.setAttribute("aria-pressed", onlyMissing);
    event.target.textContent = onlyMissing ? words.show_all : words.only_missing;
    settle();
  });
  form.addEventListener("submit", async (event) => {
    if (form.dataset.clear) return;
    event.preventDefault();
    event.stopPropagation();
    const button = event.submitter;
    // a post into nowhere would show the browser's own error page
    if (!await send() || waiting.length) {
      if (trouble === words.no_signal) trouble = words.close_offline;
      sync();
      return;
    }
    // the marks are there already: the form brings the finish alone
    for (const box of form.querySelectorAll("[name=here], [name=shown]")) box.disabled = true;
    form.dataset.clear = "1";
    form.requestSubmit(button);
  });
  window.addEventListener("pageshow", () => {
    delete form.dataset.clear;
    for (const box of form.querySelectorAll("[name=here], [name=shown]")) box.disabled = false;
  });
  window.addEventListener("online", send);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) send(); });
  setInterval(() => { if (!document.hidden) send(); }, LOOK);

  (async () => {
    for (const part of document.querySelectorAll("[data-without-js]")) part.hidden = true;
    try {
      const known = await store.state(key);
      if (known && known.state.at > state.at) state = { ...known.state, token: state.token };
      waiting = (await store.taps()).filter((t) => t.key === key).sort((a, b) => a.at - b.at);
    } catch { trouble = words.not_kept; }
    render();
    settle();
    await send();
    await tidy().catch(() => {});
    await keepPage().catch(() => {});
  })();
})();
