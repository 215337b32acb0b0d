"use strict";
const box = document.getElementById("find"), said = document.getElementById("said");
const versions = [...document.querySelectorAll("details.version")];
const files = document.getElementById("files"), rows = [...files.querySelectorAll("tbody tr")];
const texts = new Map([...versions, ...rows].map((part) => [part, part.textContent.toLowerCase()]));
const first = versions.map((version) => version.open), paths = files.open;
const spans = (row) => row.dataset.v.split(" ").map((run) => run.split("-").map(Number));

function find() {
  const asked = box.value.trim().toLowerCase(), hits = new Set();
  for (const row of rows) {
    row.hidden = !texts.get(row).includes(asked);
    if (asked && !row.hidden) for (const [from, to = from] of spans(row)) for (let k = from; k <= to; k++) hits.add(String(k));
  }
  let count = 0;
  versions.forEach((version, k) => {
    version.hidden = !(hits.has(version.dataset.n) || texts.get(version).includes(asked));
    version.open = asked ? version.open : first[k];
    count += !version.hidden;
  });
  files.open = asked ? rows.some((row) => !row.hidden) : paths;
  said.textContent = asked ? `${count} of ${versions.length} versions` : "";
}

function unfold() {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (target && target.matches("details")) target.open = true;
}

document.getElementById("search").hidden = false;
box.addEventListener("input", find);
addEventListener("hashchange", unfold);
document.addEventListener("click", (event) => {
  const link = event.target.closest('a[href^="#"]');
  if (link && link.hash === location.hash) unfold();
});
unfold();
