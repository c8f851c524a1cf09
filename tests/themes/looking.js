// What somebody who looks at a page of ours would complain of: a function that returns a list of sentences.
() => {
  const OURS = ".authx-page, .authx-admin [class*='authx-'], .authx-admin .object-tools";
  const complaints = [];
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });

  // A color of CSS as [red, green, blue, alpha], the last from 0 to 1.
  function parts(color) {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  }
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);

  // What is behind an element, its own background included.
  function behind(element) {
    const layers = [];
    for (let each = element; each; each = each.parentElement)
      layers.push(parts(getComputedStyle(each).backgroundColor));
    const dark = getComputedStyle(document.documentElement).colorScheme.startsWith("dark");
    return layers.reverse().reduce((below, top) => over(top, below), dark ? [18, 18, 18, 1] : [255, 255, 255, 1]);
  }
  function luminance(color) {
    const linear = (share) => (share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4);
    const [red, green, blue] = color.map((each) => linear(each / 255));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  }
  function contrast(color, below) {
    const [light, dark] = [luminance(over(color, below)), luminance(below)].sort((a, b) => b - a);
    return (light + 0.05) / (dark + 0.05);
  }
  function named(element) {
    const text = (element.textContent || element.value || element.name || "").trim().slice(0, 40);
    return `${element.tagName.toLowerCase()}.${[...element.classList].join(".")} "${text}"`;
  }
  const isShown = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const isOurs = (element) => element.closest(OURS) !== null;

  const controls = "input:not([type=hidden]), select, textarea, button, a.button, a[role=button]";
  for (const element of document.querySelectorAll(controls)) {
    if (!isOurs(element) || element.closest("details:not([open])") || element.disabled) continue;
    const { width, height } = element.getBoundingClientRect();
    const style = getComputedStyle(element);
    if (!isShown(element)) complaints.push(`${named(element)} is not shown`);
    else if (width < 14 || height < 14) complaints.push(`${named(element)} is ${width} x ${height}`);
    else if (!element.matches("textarea") && height > 80) complaints.push(`${named(element)} is ${height} tall`);
    if (element.matches("input[type=checkbox], input[type=radio]")) {
      const hasEdge = style.appearance !== "none" || parseFloat(style.borderTopWidth) > 0;
      if (!hasEdge) complaints.push(`${named(element)} has no edge`);
      continue;
    }
    const below = behind(element.parentElement);
    const edge = parseFloat(style.borderTopWidth) > 0 ? contrast(parts(style.borderTopColor), below) : 1;
    const fill = contrast(parts(style.backgroundColor), below);
    if (Math.max(edge, fill) < 2.5) complaints.push(`${named(element)} has an edge of ${edge.toFixed(2)}`);
    if (element.matches("input, button") && element.value !== "" && contrast(parts(style.color), behind(element)) < 4.5)
      complaints.push(`${named(element)} has text of ${contrast(parts(style.color), behind(element)).toFixed(2)}`);
  }

  for (const element of document.querySelectorAll(".authx-page :is(h1, h2, fieldset, section, summary)")) {
    if (!element.closest("details:not([open])") || element.matches("summary, summary *"))
      if (!isShown(element) || element.getBoundingClientRect().height < 10)
        complaints.push(`${named(element)} is not shown`);
  }

  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !isOurs(element) || !isShown(element) || element.closest("option")) continue;
    if (element.closest("#result_list a") && !element.closest(".authx-quiet")) continue; // the theme's color of links
    const style = getComputedStyle(element);
    const found = contrast(parts(element instanceof SVGElement ? style.fill : style.color), behind(element));
    if (found < 4.5) complaints.push(`${named(element)} has text of ${found.toFixed(2)}`);
    if (parseFloat(getComputedStyle(element).fontSize) < 10) complaints.push(`${named(element)} is too small`);
  }

  for (const bar of document.querySelectorAll(".authx-page svg rect[class]")) {
    const found = contrast(parts(getComputedStyle(bar).fill), behind(bar));
    if (found < 3) complaints.push(`${named(bar)} stands out by ${found.toFixed(2)}`);
  }

  for (const cell of document.querySelectorAll(".authx-admin #result_list td"))
    if (getComputedStyle(cell).overflowY !== "visible" && cell.scrollHeight > cell.clientHeight + 1)
      complaints.push(`${named(cell)} is cut off`);

  for (const page of document.querySelectorAll(".authx-page")) {
    const { left, right } = page.getBoundingClientRect();
    for (const element of page.querySelectorAll("h1, h2, p, input, select, textarea, button, a, dd, .submit-row")) {
      const inside = element.getBoundingClientRect();
      if (!isShown(element) || inside.width === 0 || element.closest(".authx-scroll, pre")) continue;
      if (inside.left < left - 1 || inside.right > right + 1) complaints.push(`${named(element)} is cut off`);
    }
  }
  const width = document.scrollingElement.scrollWidth;
  if (document.querySelector(".authx-page") && !document.querySelector("#result_list") && width > innerWidth + 1)
    complaints.push(`the page is ${width} wide`);

  // The list of sessions: nothing of it is beside what is seen, or beneath something else.
  for (const element of document.querySelectorAll(".model-devicesession #result_list, input[name=q], select[name=action], button[name=index]")) {
    const { left, right, width } = element.getBoundingClientRect();
    if (isShown(element) && width > 0 && (left < -1 || right > innerWidth + 1))
      complaints.push(`${named(element)} is from ${left.toFixed()} to ${right.toFixed()}`);
  }
  const list = document.querySelector(".model-devicesession #result_list");
  for (let each = list; each; each = each.parentElement)
    if (each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).overflowX !== "visible")
      complaints.push(`${each.tagName.toLowerCase()}.${[...each.classList].join(".")} scrolls sideways`);
  for (const cell of list ? list.querySelectorAll("tbody [class*='field-'] :is(bdi, time, button, .authx-badge)") : []) {
    const { left, right, width } = cell.getBoundingClientRect();
    const box = cell.closest("td, th").getBoundingClientRect();
    if (width > 0 && (left < box.left - 1 || right > box.right + 1)) complaints.push(`${named(cell)} leaves its cell`);
  }
  // Each heading that is shown stands above the cells of its column.
  const [headings, cells] = ["thead tr", "tbody tr"].map((row) => [...(list?.querySelector(row)?.cells ?? [])]);
  const start = (cell) => cell.getBoundingClientRect()[document.dir === "rtl" ? "right" : "left"];
  headings.forEach((heading, number) => {
    if (isShown(heading) && heading.innerText.trim() && cells[number] && Math.abs(start(heading) - start(cells[number])) > 2)
      complaints.push(`the heading ${heading.innerText.trim()} stands elsewhere than its column`);
  });
  return [...new Set(complaints)];
}
