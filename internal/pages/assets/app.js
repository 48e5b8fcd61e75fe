// What the pages do beside htmx: the viewer's zone, relative times, the live line, keys.
(() => {
  "use strict";
  const root = document.documentElement, body = document.body;
  root.classList.add("js");

  // The viewer's zone, for the next page.
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  if (zone && !document.cookie.includes("tactus_zone=" + zone)) {
    document.cookie = "tactus_zone=" + zone + ";path=/;max-age=31536000;samesite=lax";
  }

  // What an action did is told once.
  const address = new URL(location.href);
  if (address.searchParams.has("did")) {
    for (const name of ["did", "run", "name", "action", "done", "same", "group"]) address.searchParams.delete(name);
    history.replaceState(null, "", address);
  }
  for (const way of document.querySelectorAll("[data-fade]")) {
    setTimeout(() => way.remove(), 1000 * Number(way.dataset.fade));
  }

  // Relative times go on while the page is open. clock.go has the same units.
  const units = [[31536000, "y", "年"], [86400, "d", "日"], [3600, "h", "時間"], [60, "min", "分"], [1, "s", "秒"]];
  const ja = root.lang === "ja";
  function relative(seconds) {
    const away = Math.abs(Math.round(seconds));
    for (const [length, en, jaUnit] of units) {
      const n = Math.floor(away / length);
      if (n === 0) continue;
      if (ja) return n + jaUnit + (seconds > 0 ? "後" : "前");
      return seconds > 0 ? "in " + n + " " + en : n + " " + en + " ago";
    }
    return ja ? "今" : "now";
  }
  setInterval(() => {
    const now = Date.now();
    for (const time of document.querySelectorAll("time[datetime]")) {
      const said = time.querySelector(".rel"), text = relative((Date.parse(time.dateTime) - now) / 1000);
      if (said && said.textContent !== text) said.textContent = text;
    }
  }, 1000);

  // The live line. A page that nobody looks at has none.
  const lost = document.getElementById("lost");
  // The address holds what a filter chooses. htmx leaves addresses alone, as it is told to have no history of its own.
  function addressed(ctx) {
    const form = ctx.sourceElement;
    if (!form?.matches?.("form.filter")) return;
    const chosen = new URLSearchParams([...new FormData(form)].filter(([, value]) => value !== ""));
    history.replaceState(null, "", ctx.response.headers.get("HX-Replace-Url") || form.action + (chosen.size ? "?" + chosen : ""));
  }
  let line, late, away = false, stale = false;
  function pulse() { htmx.trigger(body, "pulse"); }
  function tell() {
    lost.hidden = !away && !stale;
    lost.textContent = away ? body.dataset.lost : stale ? body.dataset.stale : "";
  }
  function told(is) { away = is; tell(); }
  // What the server refuses is not shown in place of what is there. It asks for the login by itself when the session is over.
  body.addEventListener("htmx:finally:request", e => {
    const status = e.detail.ctx?.response?.status;
    if (status) { stale = status >= 400; tell(); }
    if (status < 400) addressed(e.detail.ctx);
  });
  function connect() {
    line = new EventSource("/live");
    line.addEventListener("pulse", pulse);
    line.addEventListener("open", () => { if (!lost.hidden) pulse(); told(false); });
    line.addEventListener("error", () => {
      told(true);
      if (line.readyState === EventSource.CLOSED) {
        clearTimeout(late);
        late = setTimeout(() => { pulse(); connect(); }, 5000);
      }
    });
  }
  function disconnect() { clearTimeout(late); if (line) line.close(); line = undefined; }
  if (document.getElementById("live")) {
    if (!document.hidden) connect();
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) return disconnect();
      if (!line) { connect(); pulse(); }
    });
    addEventListener("pagehide", disconnect);
    addEventListener("pageshow", e => { if (e.persisted && !line) { connect(); pulse(); } });
  }
  // After the filter changed, the live part is fetched from the new address.
  body.addEventListener("htmx:after:swap", () => {
    const live = document.getElementById("live");
    if (live) mark(live.querySelector("tr.at") || null);
    counted();
  });

  // What is typed is not left by accident.
  const kept = document.querySelector("form[data-keep]");
  if (kept) {
    let touched = false;
    kept.addEventListener("input", () => { touched = true; });
    kept.addEventListener("submit", () => { touched = false; });
    addEventListener("beforeunload", e => { if (touched) e.preventDefault(); });
  }

  // What is ticked in the list is counted. The bar is for what is ticked, or for all that the list has.
  const ticks = () => [...document.querySelectorAll('input[form=bulk][name=id]')];
  function counted() {
    const all = ticks(), n = all.filter(t => t.checked).length, said = document.getElementById("ticked"), every = document.getElementById("tickall");
    if (said) said.textContent = n;
    if (every) { every.checked = n > 0 && n === all.length; every.indeterminate = n > 0 && n < all.length; }
  }
  document.addEventListener("change", e => {
    if (e.target.id === "tickall") for (const t of ticks()) t.checked = e.target.checked;
    if (e.target.id === "tickall" || e.target.matches("input[form=bulk][name=id]")) {
      document.getElementById("which-ticked").checked = true;
      counted();
    }
  });
  counted();
  // What is done with many goes on by itself, a hundred at a time.
  document.querySelector("form[data-go]")?.requestSubmit();

  // Keys.
  let row = null, go = false;
  const rows = () => [...document.querySelectorAll("[data-row]")].filter(r => r.offsetParent !== null);
  function mark(next) {
    if (row && row !== next) row.classList.remove("at");
    row = next;
    if (row) row.classList.add("at");
  }
  function move(by) {
    const all = rows();
    if (all.length === 0) return;
    const at = all.findIndex(r => row && r.id === row.id);
    mark(all[Math.min(Math.max(at + by, 0), all.length - 1)]);
    row.scrollIntoView({ block: "nearest" });
    row.querySelector("a")?.focus({ preventScroll: true });
  }
  const keys = document.getElementById("keys"), help = document.getElementById("help");
  help.hidden = false;
  help.addEventListener("click", () => keys.showModal());
  document.addEventListener("keydown", e => {
    if (e.ctrlKey || e.metaKey || e.altKey || keys.open || e.target.closest("input,textarea,select,[contenteditable]")) {
      if (e.key === "Escape" && e.target.matches?.("input[type=search]")) e.target.blur();
      return;
    }
    if (go) {
      go = false;
      const to = { o: "/", s: "/schedules", r: "/runs", c: "/calendar", l: "/log", y: "/system" }[e.key];
      if (to) location.assign(to);
      return;
    }
    switch (e.key) {
      case "/": e.preventDefault(); (document.getElementById("q") || document.getElementById("seek")).focus(); break;
      case "j": move(1); break;
      case "k": move(-1); break;
      case "x": row?.querySelector("input[name=id]")?.click(); break;
      case "g": go = true; break;
      case "n": location.assign("/schedules/new"); break;
      case "?": keys.showModal(); break;
    }
  });
})();
