"use strict";
// As Airflow around it: its choice of light or dark lies in the storage of the same origin.
const darkness = matchMedia("(prefers-color-scheme: dark)");

function chooseTheme() {
  let chosen = null;
  try { chosen = localStorage.getItem("theme"); } catch { /* Storage may be forbidden. */ }
  const dark = chosen === "dark" || (chosen !== "light" && darkness.matches);
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  document.dispatchEvent(new Event("themechange"));
}

chooseTheme();
darkness.addEventListener("change", chooseTheme);
addEventListener("storage", chooseTheme);
