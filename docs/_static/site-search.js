// Search over the sections of the site: BM25 with weight on titles and on the words side by side. No network, no server.
"use strict";

const COMMON = new Set(
  "a an and any are as at be by can do does for from how i if in is it its me my of on or so that the their there this to was what when where which who why will with you your".split(" "),
);
const MOST = 25;

function wordsOf(text) {
  return text.toLowerCase().match(/[\p{L}\p{N}]+(?:[._-][\p{L}\p{N}]+)*/gu) || [];
}

// A word with its parts (`training.steps`, `training`, `steps`), without English endings.
function termsOf(text) {
  const terms = [];
  for (const word of wordsOf(text)) {
    const parts = word.split(/[._-]/);
    terms.push(stem(word));
    if (parts.length > 1) terms.push(...parts.map(stem));
  }
  return terms;
}

function stem(word) {
  if (word.length < 5 || /[._\d]/.test(word)) return word;
  return word.replace(/(?:ies)$/, "y").replace(/(?:ings?|ed|es|s|e)$/, "");
}

function counted(terms) {
  const counts = new Map();
  for (const term of terms) counts.set(term, (counts.get(term) || 0) + 1);
  return counts;
}

function buildIndex(sections) {
  const found = sections.map((section) => {
    const terms = termsOf(`${section.title} ${section.text}`);
    return { ...section, counts: counted(terms), titled: new Set(termsOf(section.title)), length: terms.length };
  });
  const holders = new Map();
  for (const section of found) for (const term of section.counts.keys()) holders.set(term, (holders.get(term) || 0) + 1);
  const mean = found.reduce((sum, section) => sum + section.length, 0) / Math.max(found.length, 1);
  return { sections: found, holders, mean };
}

function search(index, query) {
  const asked = wordsOf(query).filter((word) => !COMMON.has(word));
  const terms = [...new Set((asked.length ? asked : wordsOf(query)).map(stem))];
  const phrase = query.trim().toLowerCase();
  const subject = asked.join(" ");
  const scored = [];
  for (const section of index.sections) {
    let score = 0;
    let hits = 0;
    for (const term of terms) {
      const count = section.counts.get(term) || 0;
      if (!count) continue;
      hits += 1;
      const holders = index.holders.get(term);
      const idf = Math.log(1 + (index.sections.length - holders + 0.5) / (holders + 0.5));
      const long = 1.2 * (0.25 + (0.75 * section.length) / index.mean);
      score += (idf * count * 2.2) / (count + long) + (section.titled.has(term) ? 1.5 * idf : 0);
    }
    if (!hits) continue;
    score *= (hits / terms.length) ** 2;
    if (terms.length > 1 && section.text.toLowerCase().includes(phrase)) score *= 1.5;
    if ([phrase, subject].includes(section.title.toLowerCase())) score *= 4;
    scored.push([score * section.weight, section]);
  }
  return scored.sort((one, other) => other[0] - one[0]).map(([, section]) => section);
}

// The 220 characters of a text that hold most of the words.
function excerpt(text, terms) {
  const places = [];
  for (const match of text.matchAll(/[\p{L}\p{N}]+(?:[._-][\p{L}\p{N}]+)*/gu)) {
    const word = match[0].toLowerCase();
    if (terms.has(stem(word)) || word.split(/[._-]/).some((part) => terms.has(stem(part)))) {
      places.push([match.index, match[0].length]);
    }
  }
  let start = 0;
  let most = 0;
  for (const [at] of places) {
    const inside = places.filter(([other]) => other >= at && other < at + 180).length;
    if (inside > most) [start, most] = [at, inside];
  }
  const begin = Math.max(0, text.lastIndexOf(" ", Math.max(0, start - 40)));
  const shown = document.createElement("p");
  let last = begin;
  if (begin) shown.append("… ");
  for (const [at, length] of places) {
    if (at < last || at > begin + 220) continue;
    shown.append(text.slice(last, at));
    const mark = document.createElement("mark");
    mark.textContent = text.slice(at, at + length);
    shown.append(mark);
    last = at + length;
  }
  shown.append(text.slice(last, Math.max(last, begin + 220)), begin + 220 < text.length ? " …" : "");
  return shown;
}

function show(index, query) {
  const list = document.getElementById("search-results");
  const summary = document.getElementById("search-summary");
  list.replaceChildren();
  if (!query.trim()) return;
  const found = search(index, query);
  summary.textContent = found.length ? `${found.length} sections, the best first` : `Nothing holds ${query}`;
  const terms = new Set(wordsOf(query).filter((word) => !COMMON.has(word)).map(stem));
  for (const section of found.slice(0, MOST)) {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = section.link;
    link.textContent = section.title;
    const where = document.createElement("span");
    where.className = "search-page";
    where.textContent = section.page === section.title ? "" : ` in ${section.page}`;
    item.append(link, where, excerpt(section.text, terms));
    list.append(item);
  }
}

const index = buildIndex(window.SITE_SECTIONS);
const query = new URLSearchParams(window.location.search).get("q") || "";
document.querySelector(".site-search input").value = query;
show(index, query);
