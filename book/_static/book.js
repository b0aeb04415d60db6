/* What the theme forgets for those who read by ear or go by keyboard; tests/test_accessibility.py looks for it. */
document.addEventListener("DOMContentLoaded", () => {
  const each = (selector, change) => document.querySelectorAll(selector).forEach(change);

  // A label of its own would hide the words that an element shows; an icon's title is none of them.
  each("summary[aria-label], .search-button-field[aria-label]", element => element.removeAttribute("aria-label"));
  each(".theme-switch-button i", icon => icon.removeAttribute("title"));
  // The logo lies outside of all landmarks.
  each(".bd-sidebar-primary .sidebar-primary-item:has(.navbar-brand)", item => item.setAttribute("role", "banner"));
  // Roles of a bibliography that are deprecated, on elements that may not have them.
  each(".citation-list, .citation", element => element.removeAttribute("role"));

  // What scrolls has to be reached by the keyboard, on a screen on which it does.
  const scrolls = element => element.scrollWidth > element.clientWidth && getComputedStyle(element).overflowX === "auto";
  const observer = new ResizeObserver(entries => {
    for (const { target } of entries)
      if (scrolls(target)) target.setAttribute("tabindex", "0");
      else target.removeAttribute("tabindex");
  });
  each(".bd-article .cell_output", element => observer.observe(element));
});
