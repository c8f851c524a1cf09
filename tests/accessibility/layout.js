// What does not hold in the window as it is: a page that scrolls sideways, text that is cut off, boxes that overlap.
() => {
  const found = [];
  const root = document.scrollingElement;
  const width = root.clientWidth;
  const name = (element) => {
    const own = element.id ? `#${element.id}` : [...element.classList].map((each) => `.${each}`).join("");
    return `${element.localName}${own}`;
  };
  const path = (element) => (element.parentElement ? `${name(element.parentElement)} > ` : "") + name(element);
  const quoted = (text) => JSON.stringify(text.trim().replace(/\s+/g, " ").slice(0, 50));
  const style = (element) => getComputedStyle(element);
  const chain = (element) => {
    const all = [];
    for (let each = element; each; each = each.parentElement) all.push(each);
    return all;
  };
  const isHidden = (element) =>
    chain(element).some((each) => {
      const { clipPath, opacity, position, width, visibility } = style(each);
      return (
        clipPath !== "none" || opacity === "0" || visibility === "hidden" ||
        (position === "absolute" && parseFloat(width) <= 1)
      );
    });
  const scrolls = (element, axis) => ["auto", "scroll"].includes(style(element)[`overflow${axis}`]);
  const cuts = (element, axis) => ["hidden", "clip"].includes(style(element)[`overflow${axis}`]);

  // What is left of a box where something around it cuts off or scrolls.
  const inSight = ({ left, right, top, bottom }, line) => {
    for (const each of line) {
      if (each === root || each === document.body) break;
      const frame = each.getBoundingClientRect();
      if (scrolls(each, "X") || cuts(each, "X")) [left, right] = [Math.max(left, frame.left), Math.min(right, frame.right)];
      if (scrolls(each, "Y") || cuts(each, "Y")) [top, bottom] = [Math.max(top, frame.top), Math.min(bottom, frame.bottom)];
    }
    return { left, right, top, bottom, width: right - left, height: bottom - top };
  };

  if (root.scrollWidth > width + 1) {
    const widest = [...document.body.querySelectorAll("*")]
      .filter((each) => {
        const box = each.getBoundingClientRect();
        return (box.right > width + 1 || box.left < -1) && !chain(each).slice(1).some((up) => up !== root && up !== document.body && scrolls(up, "X"));
      })
      .map(path);
    found.push(`scrolls sideways: ${root.scrollWidth} > ${width}: ${widest.slice(-3).join(", ")}`);
  }

  // Every piece of visible text, by the boxes of its lines.
  const pieces = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    const element = node.parentElement;
    if (!node.data.trim() || ["SCRIPT", "STYLE", "OPTION", "TITLE", "NOSCRIPT"].includes(element.tagName)) continue;
    if (!element.checkVisibility() || isHidden(element)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const boxes = [...range.getClientRects()].filter((box) => box.width > 1 && box.height > 1);
    if (!boxes.length) continue;
    const line = chain(element);
    const seen = boxes.map((box) => inSight(box, line)).filter((box) => box.width > 1 && box.height > 1);
    const scroller = line.find((each) => each !== root && each !== document.body && scrolls(each, "X"));
    const apart = line.find((each) => ["sticky", "fixed", "absolute"].includes(style(each).position));
    pieces.push({ node, element, boxes: seen, apart });
    for (const box of boxes) {
      if (!scroller && (box.left < -1 || box.right > width + 1))
        found.push(`outside the window: ${quoted(node.data)} in ${path(element)}`);
      for (const each of line) {
        if (each === root || each === document.body) break;
        const frame = each.getBoundingClientRect();
        const beside = cuts(each, "X") && (box.left < frame.left - 1 || box.right > frame.right + 1);
        const below = cuts(each, "Y") && (box.top < frame.top - 2 || box.bottom > frame.bottom + 2);
        if (beside || below) found.push(`cut off: ${quoted(node.data)} by ${path(each)}`);
        if (scrolls(each, "X") || scrolls(each, "Y")) break;
      }
    }
  }

  // Text on other text, or on a control that it does not belong to.
  const controls = [...document.querySelectorAll("a, button, input, select, textarea, summary, svg")]
    .filter((each) => each.type !== "hidden" && each.checkVisibility() && !isHidden(each))
    .map((element) => ({
      element,
      boxes: [...element.getClientRects()]
        .map((box) => inSight(box, chain(element.parentElement)))
        .filter((box) => box.width > 1 && box.height > 1),
      apart: chain(element).find((each) => ["sticky", "fixed", "absolute"].includes(style(each).position)),
    }));
  const meet = (one, two) => {
    const across = Math.min(one.right, two.right) - Math.max(one.left, two.left);
    const down = Math.min(one.bottom, two.bottom) - Math.max(one.top, two.top);
    // Lines stand closer than the boxes of their letters are high.
    return across > 2 && down > Math.min(one.height, two.height) / 3;
  };
  const touching = (one, two) => one.boxes.some((a) => two.boxes.some((b) => meet(a, b)));
  for (const [number, one] of pieces.entries()) {
    for (const two of pieces.slice(number + 1)) {
      if (one.apart === two.apart && touching(one, two))
        found.push(`overlap: ${quoted(one.node.data)} and ${quoted(two.node.data)}`);
    }
    for (const control of controls) {
      const related = control.element.contains(one.element) || one.element.contains(control.element);
      if (!related && one.apart === control.apart && touching(one, control))
        found.push(`overlap: ${quoted(one.node.data)} and ${path(control.element)}`);
    }
  }
  for (const [number, one] of controls.entries()) {
    for (const two of controls.slice(number + 1)) {
      const related = one.element.contains(two.element) || two.element.contains(one.element);
      if (!related && one.apart === two.apart && touching(one, two))
        found.push(`overlap: ${path(one.element)} and ${path(two.element)}`);
    }
  }

  // A word of a button, or what was typed, that does not fit into its box.
  for (const control of controls) {
    const { element } = control;
    if (!["BUTTON", "SUMMARY", "SELECT"].includes(element.tagName) && !element.classList.contains("authx-button")) continue;
    if (element.scrollWidth > element.clientWidth + 2 && style(element).display !== "inline")
      found.push(`does not fit: ${quoted(element.innerText)} into ${path(element)}`);
  }
  return [...new Set(found)];
};
