
"use strict";
(() => {
  const table = document.getElementById("hosts-table");
  const articles = [...document.querySelectorAll("article")];
  const details = articles.map((article) => article.querySelector("details"));
  const OPEN_AT_FIRST = 3;

  function openAll(open) {
    for (const each of details) each.open = open;
  }

  function reveal() {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    const inside = target && target.querySelector(":scope > details");
    if (!inside) return;
    inside.open = true;
    target.scrollIntoView();
  }

  function printing() {
    const paper = matchMedia("print");
    let before = [];
    const expand = () => {
      if (before.length) return;
      before = details.map((each) => each.open);
      openAll(true);
    };
    const restore = () => {
      before.forEach((open, place) => { details[place].open = open; });
      before = [];
    };
    paper.addEventListener("change", (event) => (event.matches ? expand() : restore()));
    addEventListener("beforeprint", expand);
    addEventListener("afterprint", restore);
    if (paper.matches) expand();
  }

  function sorting() {
    const body = table.tBodies[0];
    const headings = [...table.tHead.rows[0].cells];
    const words = new Intl.Collator("en", { numeric: true });

    function sort(heading, column, numeric) {
      const falling = heading.getAttribute("aria-sort") === "ascending"
        || (numeric && column > 0 && !heading.hasAttribute("aria-sort"));
      const value = (row) => {
        const cell = row.cells[column];
        const told = cell.dataset.value === undefined ? cell.textContent : cell.dataset.value;
        return numeric ? Number(told) : told;
      };
      const compare = (a, b) => (numeric ? value(a) - value(b) : words.compare(value(a), value(b)));
      const rank = (row) => Number(row.dataset.host);
      const rows = [...body.rows].sort((a, b) => (falling ? -1 : 1) * compare(a, b) || rank(a) - rank(b));
      for (const each of headings) each.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", falling ? "descending" : "ascending");
      body.append(...rows);
    }

    headings.forEach((heading, column) => {
      if (!heading.dataset.sort) return;
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = heading.textContent;
      button.addEventListener("click", () => sort(heading, column, heading.dataset.sort === "number"));
      heading.replaceChildren(button);
    });
    headings[0].setAttribute("aria-sort", "ascending");
  }

  function filtering() {
    const input = document.getElementById("filter");
    const found = document.getElementById("found");
    const rows = [...table.tBodies[0].rows];

    function filter() {
      const asked = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      const wanted = new Set();
      for (const row of rows) {
        row.hidden = !asked.every((word) => row.dataset.find.includes(word));
        if (!row.hidden) wanted.add(row.dataset.host);
      }
      for (const article of articles) article.hidden = !wanted.has(article.dataset.host);
      found.textContent = asked.length ? `${wanted.size} of ${rows.length} hosts` : "";
    }

    input.addEventListener("input", filter);
    input.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      input.value = "";
      filter();
    });
  }

  if (!table) return;
  details.slice(OPEN_AT_FIRST).forEach((each) => { each.open = false; });
  sorting();
  filtering();
  printing();
  document.getElementById("open-all").addEventListener("click", () => openAll(true));
  document.getElementById("close-all").addEventListener("click", () => openAll(false));
  document.getElementById("controls").hidden = false;
  addEventListener("hashchange", reveal);
  reveal();
})();
