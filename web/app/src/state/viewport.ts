// The height that a phone's keyboard leaves: the composer stays above it.

/** Follows the visible part of the window. */
export function watchViewport(): void {
  const visible = window.visualViewport;
  if (!visible) return;
  const fit = () => {
    // Zoomed in by the person: that is theirs.
    if (visible.scale > 1.01) return;
    document.documentElement.style.setProperty("--visible", `${visible.height}px`);
    if (visible.offsetTop > 0) window.scrollTo(0, 0);
  };
  visible.addEventListener("resize", fit);
  visible.addEventListener("scroll", fit);
  fit();
}
