"use strict";
/* What every page does: copy buttons, filter and search, keyboard. Works on what is there. */
(() => {
const all = (query, root) => [...(root || document).querySelectorAll(query)];
const say = text => { document.getElementById("status").textContent = text; };

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
for (const button of all("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const done = await copy(button.dataset.copy);
    button.textContent = done ? "copied" : "not copied";
    say(done ? "Copied" : "Could not copy");
    setTimeout(() => { button.textContent = "copy"; }, 1500);
    button.focus();
  });
}

/* Whatever a link leads to is unfolded first. */
function unfold() {
  let at = null;
  try { at = document.getElementById(decodeURIComponent(location.hash.slice(1))); } catch { return; }
  if (!at) return;
  for (let inner = at; inner; inner = inner.parentElement)
    if (inner.tagName === "DETAILS") inner.open = true;
  at.scrollIntoView({block: "nearest"});
}
addEventListener("hashchange", unfold);
unfold();

const tools = document.getElementById("filter");
if (!tools) return;
tools.hidden = false;
const search = document.getElementById("search");
const buttons = all("button[data-outcome]", tools);
const items = all("[data-outcome]").filter(item => !tools.contains(item));
const texts = new Map(items.map(item => [item, item.textContent.toLowerCase()]));
const folds = all("details").filter(fold => items.some(item => fold.contains(item)));
const before = new Map(folds.map(fold => [fold, fold.open]));

function apply() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = buttons.filter(b => b.ariaPressed === "true").map(b => b.dataset.outcome);
  const filtered = words.length > 0 || wanted.length > 0;
  let shown = 0;
  for (const item of items) {
    const fits = (!wanted.length || wanted.includes(item.dataset.outcome))
      && words.every(word => texts.get(item).includes(word));
    item.hidden = !fits;
    shown += fits;
  }
  for (const fold of folds) {
    fold.open = filtered ? items.some(item => fold.contains(item) && !item.hidden) : before.get(fold);
  }
  const text = filtered ? `${shown} of ${items.length}` : "";
  document.getElementById("matches").textContent = text;
  say(text);
}
search.addEventListener("input", apply);
for (const button of buttons) {
  button.addEventListener("click", () => {
    button.ariaPressed = button.ariaPressed === "true" ? "false" : "true";
    apply();
  });
}
document.addEventListener("keydown", event => {
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    search.focus();
  } else if (event.key === "Escape" && document.activeElement === search) {
    search.value = "";
    apply();
  }
});
})();
