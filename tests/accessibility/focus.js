// Looks at what has the focus after each press of Tab: whether that is to be seen, and whether something lies on it.
() => {
  // What may show it. Colors that change slowly have changed.
  const look = (element) => {
    document.getAnimations().forEach((each) => each.finish());
    const { outlineStyle, outlineWidth, outlineColor, boxShadow, borderColor, backgroundColor, color, textDecorationLine } =
      getComputedStyle(element);
    const outline = outlineStyle === "none" ? "none" : [outlineStyle, outlineWidth, outlineColor];
    return [outline, boxShadow, borderColor, backgroundColor, color, textDecorationLine].join("; ");
  };
  // In the middle of what is to be seen of it.
  const isCovered = (element) => {
    const [{ left, right, top, bottom }] = element.getClientRects();
    const x = (Math.max(left, 0) + Math.min(right, innerWidth)) / 2;
    const y = (Math.max(top, 0) + Math.min(bottom, innerHeight)) / 2;
    const upper = document.elementFromPoint(x, y);
    return !upper || !(element.contains(upper) || upper.contains(element));
  };
  const name = ({ localName, id, className, innerText, value }) =>
    `${localName}${id && `#${id}`}${className && `.${className}`} ${JSON.stringify((innerText || value || "").slice(0, 40))}`;

  const wrong = [];
  const last = window.focusedBefore;
  if (last && look(last.element) === last.look) wrong.push(`the focus cannot be seen on ${last.name}: ${last.look}`);
  const element = document.activeElement;
  if (element === document.body) {
    delete window.focusedBefore;
    return { name: "", wrong };
  }
  window.focusedBefore = { element, name: name(element), look: look(element) };
  if (isCovered(element)) wrong.push(`something lies on ${name(element)}`);
  return { name: name(element), wrong };
};
