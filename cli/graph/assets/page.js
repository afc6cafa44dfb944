"use strict";
(() => {
  const drawing = document.getElementById("drawing");
  const view = document.getElementById("view");
  const stage = document.getElementById("stage");
  const card = document.getElementById("card");
  const query = document.getElementById("query");
  const found = document.getElementById("found");
  const scaleText = document.getElementById("scale");
  const vertices = JSON.parse(document.getElementById("data").textContent).vertices;
  const boxes = Array.from(drawing.querySelectorAll(".vertex"));
  const edges = Array.from(drawing.querySelectorAll(".edge"));
  const byId = new Map(boxes.map((box) => [box.id, box]));
  const whole = { width: +drawing.dataset.width, height: +drawing.dataset.height };
  const LEAST = 0.03, MOST = 6, MARGIN = 24, BELOW = 80;
  let scale = 1, x = 0, y = 0, kept = null, shown = null;

  // --- zoom and pan ---------------------------------------------------------

  function apply() {
    view.setAttribute("transform", `translate(${x} ${y}) scale(${scale})`);
    scaleText.textContent = `${Math.round(scale * 100)}%`;
    if (shown) place(shown);
  }

  function zoom(factor, at) {
    const next = Math.min(MOST, Math.max(LEAST, scale * factor));
    const centre = at || { x: stage.clientWidth / 2, y: stage.clientHeight / 2 };
    x = centre.x - (centre.x - x) * (next / scale);
    y = centre.y - (centre.y - y) * (next / scale);
    scale = next;
    apply();
  }

  function fit(readable) {
    const width = stage.clientWidth - 2 * MARGIN;
    const height = stage.clientHeight - MARGIN - BELOW;
    scale = Math.min(width / whole.width, height / whole.height, 1.25);
    scale = Math.max(scale, LEAST);
    // At first what is too large to be read is shown from its beginning instead.
    if (readable && scale < 0.4) scale = Math.max(0.4, Math.min(0.7, width / whole.width));
    x = Math.max(MARGIN, (stage.clientWidth - whole.width * scale) / 2);
    y = Math.max(MARGIN, (height + 2 * MARGIN - whole.height * scale) / 2);
    apply();
  }

  function local(event) {
    const frame = stage.getBoundingClientRect();
    return { x: event.clientX - frame.left, y: event.clientY - frame.top };
  }

  drawing.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    zoom(Math.exp(-event.deltaY * lines * 0.0016), local(event));
  }, { passive: false });

  const fingers = new Map();
  let moved = false;
  drawing.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    fingers.set(event.pointerId, local(event));
    moved = false;
  });
  drawing.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    const now = local(event);
    if (!moved && Math.hypot(now.x - before.x, now.y - before.y) < 4) return;
    if (!moved) drawing.setPointerCapture(event.pointerId);
    moved = true;
    drawing.classList.add("dragging");
    if (fingers.size === 2) {
      const other = Array.from(fingers).find(([id]) => id !== event.pointerId)[1];
      const distance = (p) => Math.hypot(p.x - other.x, p.y - other.y);
      if (distance(before) > 0) zoom(distance(now) / distance(before), other);
    } else {
      x += now.x - before.x;
      y += now.y - before.y;
      apply();
    }
    fingers.set(event.pointerId, now);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    drawing.addEventListener(name, (event) => {
      fingers.delete(event.pointerId);
      drawing.classList.remove("dragging");
    });
  }
  document.getElementById("zoom-in").addEventListener("click", () => zoom(1.25));
  document.getElementById("zoom-out").addEventListener("click", () => zoom(0.8));
  document.getElementById("zoom-fit").addEventListener("click", () => fit(false));

  function show(box) {
    const frame = stage.getBoundingClientRect(), at = box.getBoundingClientRect();
    const room = { left: 40, top: 40, right: frame.width - 40, bottom: frame.height - 40 };
    const left = at.left - frame.left, top = at.top - frame.top;
    if (left >= room.left && top >= room.top && left + at.width <= room.right && top + at.height <= room.bottom) return;
    x += frame.width / 2 - (left + at.width / 2);
    y += frame.height / 2 - (top + at.height / 2);
    apply();
  }

  function visit(id) {
    const box = byId.get(id);
    if (!box) return;
    if (scale < 0.5) zoom(0.8 / scale);
    show(box);
    box.focus({ preventScroll: true });
  }

  // --- cards ----------------------------------------------------------------

  function add(parent, tag, text, name) {
    const element = document.createElement(tag);
    if (text) element.textContent = text;
    if (name) element.className = name;
    parent.append(element);
    return element;
  }

  function fill(about) {
    card.replaceChildren();
    add(card, "h2", about.title);
    add(card, "p", [about.kind, about.in, about.share].filter(Boolean).join(" · "), "what");
    if (about.dead) add(card, "p", about.dead, "error");
    if (about.value) add(card, "p", about.value, "value");
    if (about.text) add(card, "p", about.text);
    if (about.condition) add(card, "pre", about.condition);
    if (about.reads) {
      const reads = add(card, "p", "", "reads");
      for (const [name, cost] of about.reads) {
        const read = add(reads, "span", `${name} `);
        add(read, "b", cost, `t-${cost}`);
      }
    }
    for (const [rule, where] of about.places || []) {
      const place = add(card, "p", `${rule}  `);
      add(place, "span", where, "place");
    }
    if (about.more) add(card, "p", `and ${about.more} more rules`, "soft");
    for (const [, code, message, severity] of about.findings || []) {
      add(card, "p", `${code}: ${message}`, severity);
    }
  }

  function place(box) {
    const frame = stage.getBoundingClientRect(), at = box.getBoundingClientRect();
    const width = card.offsetWidth, height = card.offsetHeight, gap = 12;
    let left = at.right - frame.left + gap, top = at.top - frame.top;
    if (left + width > frame.width - 8) left = at.left - frame.left - width - gap;
    if (left < 8) {
      left = Math.min(Math.max(8, at.left - frame.left), Math.max(8, frame.width - width - 8));
      top = at.bottom - frame.top + gap;
      if (top + height > frame.height - 8) top = at.top - frame.top - height - gap;
    }
    top = Math.min(Math.max(8, top), Math.max(8, frame.height - height - 8));
    card.style.left = `${left}px`;
    card.style.top = `${top}px`;
  }

  function open(box) {
    light(shown, false);
    shown = box;
    light(box, true);
    fill(vertices[box.id]);
    card.hidden = false;
    card.classList.toggle("kept", box === kept);
    place(box);
  }

  function close() {
    light(shown, false);
    shown = null;
    card.hidden = true;
    card.classList.remove("kept");
    if (kept) open(kept);
  }

  function keep(box) {
    if (kept) kept.classList.remove("kept");
    kept = kept === box ? null : box;
    if (kept) {
      kept.classList.add("kept");
      open(kept);
    } else close();
  }

  function light(box, on) {
    if (!box) return;
    box.classList.toggle("lit", on);
    for (const edge of edges) {
      if (edge.dataset.from === box.id || edge.dataset.to === box.id) edge.classList.toggle("lit", on);
    }
  }

  for (const box of boxes) {
    box.setAttribute("tabindex", "-1");
    box.setAttribute("role", "button");
    box.addEventListener("pointerenter", () => { if (!fingers.size && !kept) open(box); });
    box.addEventListener("pointerleave", () => { if (!kept && document.activeElement !== box) close(); });
    box.addEventListener("focus", () => {
      for (const other of boxes) other.setAttribute("tabindex", other === box ? "0" : "-1");
      open(box);
    });
    box.addEventListener("blur", () => { if (!kept) close(); });
    box.addEventListener("click", (event) => {
      if (moved || event.target.closest(".badge")) return;
      box.focus({ preventScroll: true });
      keep(box);
    });
  }
  if (boxes.length) boxes[0].setAttribute("tabindex", "0");
  drawing.addEventListener("click", (event) => {
    if (!moved && kept && !event.target.closest(".vertex")) keep(kept);
  });

  // --- keys -----------------------------------------------------------------

  function neighbour(box, key) {
    const from = box.getBoundingClientRect();
    const start = { x: from.left + from.width / 2, y: from.top + from.height / 2 };
    const upright = key === "ArrowUp" || key === "ArrowDown";
    const sign = key === "ArrowDown" || key === "ArrowRight" ? 1 : -1;
    let best = null, least = Infinity;
    for (const other of boxes) {
      if (other === box) continue;
      const at = other.getBoundingClientRect();
      const dx = at.left + at.width / 2 - start.x, dy = at.top + at.height / 2 - start.y;
      const ahead = sign * (upright ? dy : dx), aside = Math.abs(upright ? dx : dy);
      if (ahead <= 1) continue;
      const far = ahead + 2.5 * aside;
      if (far < least) { least = far; best = other; }
    }
    return best;
  }

  document.addEventListener("keydown", (event) => {
    const target = event.target;
    if (event.key === "Escape") {
      if (kept) keep(kept);
      else if (target === query) { query.value = ""; seek(false); query.blur(); }
      else if (target.closest && target.closest(".vertex")) drawing.focus();
      return;
    }
    if (target === query || event.ctrlKey || event.metaKey || event.altKey) return;
    const box = target.closest ? target.closest(".vertex") : null;
    if (event.key === "/") query.focus();
    else if (event.key === "+" || event.key === "=") zoom(1.25);
    else if (event.key === "-") zoom(0.8);
    else if (event.key === "0") fit(false);
    else if (event.key.startsWith("Arrow") && box) {
      const next = neighbour(box, event.key);
      if (next) { next.focus({ preventScroll: true }); show(next); }
    } else if (event.key.startsWith("Arrow") && target === drawing) {
      x += { ArrowLeft: 60, ArrowRight: -60 }[event.key] || 0;
      y += { ArrowUp: 60, ArrowDown: -60 }[event.key] || 0;
      apply();
    } else if ((event.key === "Enter" || event.key === " ") && box) keep(box);
    else return;
    event.preventDefault();
  });

  // --- search ---------------------------------------------------------------

  const words = new Map(Object.entries(vertices).map(([id, about]) => [id, [
    about.title, about.text, about.condition,
    ...(about.reads || []).map(([name]) => name),
    ...(about.places || []).map(([rule]) => rule),
  ].filter(Boolean).join(" ").toLowerCase()]));
  const rules = Array.from(document.querySelectorAll(".rule"));
  let hits = [], turn = -1;

  function seek(go) {
    const wanted = query.value.trim().toLowerCase();
    hits = wanted ? boxes.filter((box) => words.get(box.id).includes(wanted)) : [];
    for (const box of boxes) box.classList.toggle("hit", hits.includes(box));
    drawing.classList.toggle("seeking", Boolean(wanted));
    let listed = 0;
    for (const rule of rules) {
      const miss = Boolean(wanted) && !rule.dataset.words.includes(wanted);
      rule.classList.toggle("miss", miss);
      if (!miss) listed += 1;
    }
    for (const group of document.querySelectorAll("#rules section")) {
      group.hidden = !group.querySelector(".rule:not(.miss)");
    }
    found.textContent = wanted ? (hits.length ? `${hits.length} found` : listed ? `${listed} in list` : "none") : "";
    turn = -1;
    if (go && hits.length) next();
  }

  function next() {
    turn = (turn + 1) % hits.length;
    if (scale < 0.5) zoom(0.8 / scale);
    show(hits[turn]);
    open(hits[turn]);
    found.textContent = `${turn + 1} of ${hits.length}`;
  }

  query.addEventListener("input", () => seek(false));
  document.getElementById("search").addEventListener("submit", (event) => {
    event.preventDefault();
    if (hits.length) next();
  });

  // --- the panel ------------------------------------------------------------

  document.getElementById("side").addEventListener("click", (event) => {
    const link = event.target.closest("[data-vertex]");
    if (link) visit(link.dataset.vertex);
  });
  const toggle = document.getElementById("toggle"), side = document.getElementById("side");
  toggle.addEventListener("click", () => {
    const closed = side.classList.toggle("closed");
    toggle.setAttribute("aria-expanded", String(!closed));
  });
  drawing.addEventListener("click", (event) => {
    const badge = event.target.closest(".badge");
    if (!badge) return;
    event.preventDefault();
    const finding = document.getElementById(badge.getAttribute("href").slice(1));
    side.classList.remove("closed");
    toggle.setAttribute("aria-expanded", "true");
    document.getElementById("findings").open = true;
    finding.scrollIntoView({ block: "center" });
    finding.focus({ preventScroll: true });
    finding.classList.add("flash");
    setTimeout(() => finding.classList.remove("flash"), 1600);
  });

  drawing.removeAttribute("viewBox");
  fit(true);
  new ResizeObserver(() => { if (shown) place(shown); }).observe(stage);
})();
