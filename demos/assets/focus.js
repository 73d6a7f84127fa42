// Whoever has the focus keeps it when what others do puts their row in another place.
(() => {
  let held = null;
  document.addEventListener("focusin", ({ target }) => (held = target));
  // who leaves of their own will is not called back; what is moved is told of below before this turn is over
  document.addEventListener("focusout", ({ target }) =>
    setTimeout(() => {
      if (held === target && document.activeElement !== target) held = null;
    }),
  );

  new MutationObserver((records) => {
    const isLost = held && document.activeElement === document.body && document.hasFocus();
    const isOut = ({ removedNodes }) => [...removedNodes].some((node) => node.contains(held));
    if (isLost && records.some(isOut)) held.focus();
  }).observe(document, { childList: true, subtree: true });
})();
