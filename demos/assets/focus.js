// Whoever has the focus keeps their place. What is put elsewhere in the page has the focus again; of what is taken away, it
// goes to what stands there instead, to the same control of a neighbouring row, or to where one goes on.
(() => {
  let held = null;
  document.addEventListener("focusin", ({ target }) => (held = target));
  // who leaves of their own will is not called back; what moves or goes is told of below before this turn is over
  const left = ({ target }) =>
    setTimeout(() => {
      if (held === target && document.activeElement !== target) held = null;
    });
  document.addEventListener("blur", left, true);

  const isOut = ({ removedNodes }) => [...removedNodes].some((node) => node.contains(held));

  function heirs({ target, previousSibling, nextSibling }, records) {
    const instead = records.flatMap((record) => (record.target === target ? [...record.addedNodes] : []));
    const rows = [nextSibling, previousSibling].filter((row) => row instanceof Element && row.isConnected);
    // what is the same control in another row has the same name for tests
    const controls = rows.map((row) => row.querySelector(`[data-testid="${held.dataset.testid}"]`));
    const panel = target.closest("section, details") ?? document;
    const field = panel.querySelector(":is(main, details) form > .field");
    return [held, ...instead, ...controls, target.closest("[tabindex]"), field];
  }

  const takes = (element) => {
    element?.focus?.();
    return element === document.activeElement;
  };

  new MutationObserver((records) => {
    if (!held || document.activeElement !== document.body || !document.hasFocus()) return;
    const out = records.findLast(isOut);
    if (out) heirs(out, records).some(takes);
  }).observe(document, { childList: true, subtree: true });
})();
