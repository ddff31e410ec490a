// Light, dark, or what the system says; before the page is drawn, so that nothing flashes.
"use strict";
(() => {
  const names = ["auto", "light", "dark"];
  const remembered = () => { try { return localStorage.getItem("xmtf-theme"); } catch { return null; } };
  const set = (name) => {
    if (name === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = name;
    try { localStorage.setItem("xmtf-theme", name); } catch { /* without storage the choice lasts as long as the page */ }
  };
  let place = Math.max(0, names.indexOf(remembered()));
  set(names[place]);
  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const say = () => { button.textContent = `Theme: ${names[place]}`; };
    say();
    button.addEventListener("click", () => { place = (place + 1) % names.length; set(names[place]); say(); });
  });
})();
