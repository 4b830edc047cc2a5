// Keeps the head-count pages usable without signal: the page as it was last seen, for a day, and what
// it is drawn with. Touches nothing else of the product and sends no mark: the page does that itself.
"use strict";
const CACHE = "headcount", DAY = 24 * 3600 * 1000, PATIENCE = 4000, KEPT_AT = "x-kept-at";
const CLASS_PAGE = /^\/activities\/sessions\/\d+\/day\/\d+$/;
const ANY_PAGE = /^\/activities\/sessions\/\d+\/day(\/\d+)?$/;

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

const kept = async (cache, path) => {
  let found = await cache.match(path);
  if (!found) {
    // the way in leads to the one class there is
    const inside = (await cache.keys()).find((r) => new URL(r.url).pathname.startsWith(`${path}/`));
    found = inside && await cache.match(inside);
  }
  if (found && Date.now() - Number(found.headers.get(KEPT_AT)) > DAY) return undefined;
  return found;
};

const keep = async (cache, path, answer) => {
  const headers = new Headers(answer.headers);
  headers.set(KEPT_AT, String(Date.now()));
  await cache.put(path, new Response(await answer.blob(), { status: 200, headers }));
};

const NOTHING = "没有信号，这一页没有存在这部手机上。请回到有信号的地方再打开。\nNo signal, and this page is not kept on this phone. Open it again where there is signal.\n";

const page = async (request, path) => {
  const cache = await caches.open(CACHE);
  const asked = fetch(request).then(async (answer) => {
    if (CLASS_PAGE.test(path)) {
      if (answer.ok && !answer.redirected) await keep(cache, path, answer.clone());
      // signed out, or not this person's any more: a led-on answer has no status
      else if (answer.type === "opaqueredirect" || [401, 403, 404].includes(answer.status)) await cache.delete(path);
    }
    return answer;
  });
  asked.catch(() => {});
  const slow = new Promise((done) => { setTimeout(done, PATIENCE); });
  try {
    const first = await Promise.race([asked, slow]);
    if (first) return first;
    return await kept(cache, path) || await asked;
  } catch {
    return await kept(cache, path)
      || new Response(NOTHING, { status: 503, headers: { "Content-Type": "text/plain; charset=utf-8" } });
  }
};

const asset = async (request) => {
  const cache = await caches.open(CACHE);
  const found = await cache.match(request);
  if (found) return found;
  const answer = await fetch(request);
  if (answer.ok) await cache.put(request, answer.clone());
  return answer;
};

self.addEventListener("fetch", (event) => {
  const { request } = event, url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== self.location.origin) return;
  if (request.mode === "navigate") {
    if (ANY_PAGE.test(url.pathname)) event.respondWith(page(request, url.pathname));
  } else if (url.pathname.startsWith("/static/") && url.searchParams.has("v")) {
    event.respondWith(asset(request));
  }
});

// The first visit was drawn before there was a worker: the page asks for itself and its parts.
self.addEventListener("message", (event) => {
  const { path, parts } = event.data || {};
  if (!CLASS_PAGE.test(path)) return;
  event.waitUntil((async () => {
    const cache = await caches.open(CACHE);
    await Promise.all(parts.map((part) => asset(new Request(part))));
    if (!await kept(cache, path)) {
      const answer = await fetch(path, { headers: { Accept: "text/html" } });
      if (answer.ok && !answer.redirected) await keep(cache, path, answer);
    }
    event.source?.postMessage({ kept: path });
  })().catch(() => {}));
});
