/* When to draw: in an animation frame, at most once per DRAW_INTERVAL_MS, and never while nobody can see it. */

import { DRAW_INTERVAL_MS } from "./limits.js";

export function createScheduler(draw) {
  let wanted = false;
  let timer = null;
  let drawnAt = -Infinity;

  function frame() {
    timer = null;
    if (!wanted || document.hidden) return;
    wanted = false;
    drawnAt = performance.now();
    draw();
  }

  function schedule() {
    if (timer !== null || document.hidden) return;
    const wait = Math.max(0, drawnAt + DRAW_INTERVAL_MS - performance.now());
    timer = setTimeout(() => requestAnimationFrame(frame), wait);
  }

  document.addEventListener("visibilitychange", () => wanted && schedule());
  return () => {
    wanted = true;
    schedule();
  };
}
