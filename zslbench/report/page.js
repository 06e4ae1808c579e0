"use strict";
(() => {
  const words = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

  // Numbers before words; cells without a value stay last in either direction.
  const compare = (a, b, sign) => {
    if (a.number !== b.number) return a.number ? -1 : 1;
    if (a.number) return sign * (a.value - b.value);
    if (!a.text || !b.text) return (a.text ? 0 : 1) - (b.text ? 0 : 1);
    return sign * words.compare(a.text, b.text);
  };

  const key = (row, column) => {
    const cell = row.cells[column];
    const text = cell.textContent.trim();
    const number = cell.dataset.sort !== undefined;
    return { row, number, value: Number(cell.dataset.sort), text: /^[-–—]?$/.test(text) ? "" : text };
  };

  const say = (text) => { document.getElementById("announcement").textContent = text; };

  for (const table of document.querySelectorAll("table[data-sortable]")) {
    const body = table.tBodies[0];
    const headers = [...table.tHead.rows[0].cells];
    headers.forEach((header, column) => {
      // The whole cell, whose button the keyboard reaches.
      header.addEventListener("click", () => {
        const descending = header.getAttribute("aria-sort") === "ascending";
        for (const other of headers) other.removeAttribute("aria-sort");
        header.setAttribute("aria-sort", descending ? "descending" : "ascending");
        const keys = [...body.rows].map((row) => key(row, column));
        keys.sort((a, b) => compare(a, b, descending ? -1 : 1));
        const fragment = document.createDocumentFragment();
        for (const { row } of keys) fragment.append(row);
        body.append(fragment);
        say(`sorted by ${header.textContent.trim()}, ${descending ? "descending" : "ascending"}`);
      });
    });
  }

  for (const search of document.querySelectorAll(".search")) {
    const field = search.querySelector("input");
    const choices = [...search.querySelectorAll("select")];
    const rows = [...search.closest(".table").querySelector("tbody").rows];
    const texts = rows.map((row) => row.textContent.toLowerCase());
    const filter = () => {
      const wanted = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      const chosen = choices.filter((choice) => choice.value);
      let shown = 0;
      rows.forEach((row, i) => {
        const fits = chosen.every((choice) => row.cells[choice.dataset.column].textContent === choice.value);
        row.hidden = !fits || !wanted.every((word) => texts[i].includes(word));
        shown += row.hidden ? 0 : 1;
      });
      say(`${shown} rows`);
    };
    let waiting;
    field.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(filter, 120); });
    for (const choice of choices) choice.addEventListener("change", filter);
  }

  // A closed fold is not printed by every browser.
  const closed = [];
  window.addEventListener("beforeprint", () => {
    for (const fold of document.querySelectorAll("details:not([open])")) { fold.open = true; closed.push(fold); }
  });
  window.addEventListener("afterprint", () => { for (const fold of closed.splice(0)) fold.open = false; });

  // plotly draws its texts in a fixed colour: give it the page's.
  const plots = [...document.querySelectorAll(".plotly .js-plotly-plot")];
  const recolour = (colour) => plots.forEach((plot) => window.Plotly.relayout(plot, { "font.color": colour }));
  const ink = () => getComputedStyle(document.body).color;
  if (plots.length) {
    recolour(ink());
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => recolour(ink()));
    window.addEventListener("beforeprint", () => recolour("#000"));
    window.addEventListener("afterprint", () => recolour(ink()));
  }
})();
