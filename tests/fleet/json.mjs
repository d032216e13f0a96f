// Values of a JSON text as they stand there, so that what passed a proxy can be compared byte for byte.

const space = (text, at) => { while (' \t\r\n'.includes(text[at]) && at < text.length) at++; return at; };
/** Where the value that begins at `at` ends. The text is known to parse. */
function end(text, at) {
  if (text[at] === '"') {
    for (at++; text[at] !== '"'; at++) if (text[at] === '\\') at++;
    return at + 1;
  }
  if (text[at] !== '{' && text[at] !== '[') {
    while (at < text.length && !',]} \t\r\n'.includes(text[at])) at++;
    return at;
  }
  for (let depth = 0; ;) {
    if (text[at] === '"') { at = end(text, at); continue; }
    if ('{['.includes(text[at])) depth++;
    if (']}'.includes(text[at]) && --depth === 0) return at + 1;
    at++;
  }
}
/** The members of an object as `[name, text]`, or the texts of an array's items. */
function parts(text) {
  const isObject = text[0] === '{';
  const found = [];
  for (let at = space(text, 1); text[at] !== '}' && text[at] !== ']';) {
    let name;
    if (isObject) {
      const to = end(text, at);
      name = JSON.parse(text.slice(at, to));
      at = space(text, space(text, to) + 1);
    }
    const to = end(text, at);
    found.push(isObject ? [name, text.slice(at, to)] : text.slice(at, to));
    at = space(text, to);
    if (text[at] === ',') at = space(text, at + 1);
  }
  return found;
}
/** The text of a member, or undefined. */
export const member = (text, name) => parts(text.trim()).findLast(([key]) => key === name)?.[1];
/** An object's text without one of its members and the comma that belonged to it. */
export function without(text, name) {
  for (let at = space(text, 1), comma = -1; text[at] !== '}';) {
    const start = at;
    const to = end(text, at);
    const after = end(text, space(text, space(text, to) + 1));
    if (JSON.parse(text.slice(start, to)) === name) {
      const next = space(text, after);
      if (comma >= 0) return text.slice(0, comma) + text.slice(after);
      return text.slice(0, start) + text.slice(text[next] === ',' ? space(text, next + 1) : next);
    }
    at = space(text, after);
    if (text[at] === ',') { comma = at; at = space(text, at + 1); }
  }
  return text;
}
/** The texts of an array's items. */
export const items = (text) => parts(text.trim());
