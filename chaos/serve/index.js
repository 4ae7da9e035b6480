"use strict";
// A filter acts as soon as it is chosen; `/` goes to the search.

const search = document.querySelector("form[role=search]");
if (search) {
  search.addEventListener("change", (event) => { if (event.target.tagName === "SELECT") search.requestSubmit(); });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || /INPUT|SELECT/.test(event.target.tagName) || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    search.elements.text.focus();
  });
  search.addEventListener("submit", () => { // a short address: without what is not filtered
    for (const field of search.elements) if (field.name && !field.value) field.disabled = true;
  });
}
