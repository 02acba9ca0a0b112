// What the console's scripts share. Nothing happens here by itself.

// Tell the form's other scripts that a field was filled by one of them.
export function changed(node) {
  node.dispatchEvent(new Event("input", { bubbles: true }));
}

export function element(tag, words, className = "") {
  const node = document.createElement(tag);
  node.textContent = words;
  if (className) node.className = className;
  return node;
}
