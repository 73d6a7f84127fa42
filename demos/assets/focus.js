// Whoever has the focus keeps their place. What is put elsewhere in the page has the focus again; of what is taken away, it
// goes to what stands there instead, or to the list. Who has taken it away goes on with the same control of a neighbouring
// row, or where one goes on; what others take away puts nobody on a button that they did not choose.
(() => {
  let held = null;
  let deeds = 0;
  const deed = () => {
    deeds += 1;
    setTimeout(() => (deeds -= 1), 1000);
  };
  document.addEventListener("click", deed, true);
  document.addEventListener("keydown", ({ key }) => ["Enter", " ", "Escape"].includes(key) && deed(), true);
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
    const place = target.closest("[tabindex]");
    return deeds > 0 ? [held, ...instead, ...controls, place, field] : [held, ...instead, place];
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
