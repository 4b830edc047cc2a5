// What a head-count keeps on this phone until there is signal: taps (ids, no names) and the last
// state the server told. One row per tap, so that two tabs cannot lose each other's.
window.headcountStore = (() => {
  "use strict";
  const NAME = "headcount", TAPS = "taps", STATES = "states";
  let opened;
  const open = () => opened ??= new Promise((done, fail) => {
    const asked = indexedDB.open(NAME, 1);
    asked.onupgradeneeded = () => {
      asked.result.createObjectStore(TAPS, { keyPath: "id" });
      asked.result.createObjectStore(STATES, { keyPath: "key" });
    };
    asked.onsuccess = () => {
      // signing out deletes all of it, from whatever page
      asked.result.onversionchange = () => { asked.result.close(); opened = undefined; };
      done(asked.result);
    };
    asked.onerror = () => { opened = undefined; fail(asked.error); };
  });
  const run = async (store, mode, use) => {
    const base = await open();
    return new Promise((done, fail) => {
      // strict: a phone whose battery goes out a second later still has it
      const work = base.transaction(store, mode, { durability: "strict" });
      const asked = use(work.objectStore(store));
      work.oncomplete = () => done(asked && asked.result);
      work.onerror = work.onabort = () => fail(work.error);
    });
  };
  return {
    keep: (tap) => run(TAPS, "readwrite", (rows) => rows.put(tap)),
    taps: () => run(TAPS, "readonly", (rows) => rows.getAll()),
    drop: (ids) => run(TAPS, "readwrite", (rows) => { for (const id of ids) rows.delete(id); }),
    keepState: (key, state) => run(STATES, "readwrite", (rows) => rows.put({ key, state, kept: Date.now() })),
    state: (key) => run(STATES, "readonly", (rows) => rows.get(key)),
    states: () => run(STATES, "readonly", (rows) => rows.getAll()),
    dropState: (key) => run(STATES, "readwrite", (rows) => { rows.delete(key); }),
  };
})();
