// What the proxy gave, compared with what the server gives itself.
//
// What the documentation says is expected and no difference: names and pages of the merged endpoint, what it mends, and
// `execution` of tools, which belongs to tasks, and those are not carried.
//
// A difference has an id, `SERVER single|merged|direct WHAT`, by which differences.txt explains it.

import { without } from './json.mjs';

const brief = (text) => (text === undefined ? 'nothing' : text.length > 300 ? `${text.slice(0, 300)}…` : text);
const idOf = (item) => item.uri ?? item.uriTemplate ?? item.name ?? (item.error && 'error');
const isObject = (value) => typeof value === 'object' && value !== null;

/** Both texts from shortly before they part. */
function apart(direct, proxied) {
  let same = 0;
  while (same < direct.length && direct[same] === proxied[same]) same++;
  const from = Math.max(0, same - 60);
  return [`alone:             …${brief(direct.slice(from))}`, `through the proxy: …${brief(proxied.slice(from))}`];
}
const masker = (patterns = []) => (text) => patterns.reduce((t, pattern) => t.replace(new RegExp(pattern, 'g'), '0'), text);

/** Each item of each list and the answer of the call byte for byte. */
export function compareSingle({ key, direct, single, mask }, note) {
  const clean = masker(mask);
  const id = (what) => `${key} single ${what}`;
  for (const [name, texts] of Object.entries(direct.lists)) {
    const expected = name === 'tools' ? (text) => without(text, 'execution') : (text) => text;
    const names = (all) => all.map((text) => idOf(JSON.parse(text)));
    const [left, right] = [names(texts), names(single.lists[name])];
    if (left.join('\n') !== right.join('\n')) note(id(name), `alone:             ${brief(left.join(', '))}`, `through the proxy: ${brief(right.join(', '))}`);
    texts.forEach((text, i) => {
      const other = single.lists[name][right.indexOf(left[i])];
      if (other === undefined) return;
      const [one, two] = [expected(text), other].map(clean);
      if (one !== two) note(id(`${name} ${left[i]}`), ...apart(one, two));
    });
  }
  const [left, right] = [direct, single].map(({ greeting }) => greeting.instructions ?? '');
  if (left !== right) note(id('instructions'), ...apart(left, right));
  const [one, other] = [direct, single].map(({ answer }) => clean(answer));
  if (one !== other) note(id('call'), ...apart(one, other));
}

/** The names of a server begin with its key; they are at most 64 letters, digits, `_` and `-`. */
const prefix = (key) => `${key}__`;
const NAME = /^[A-Za-z0-9_-]{1,64}$/;
const PAGES = [['ui', 'resourceUri'], ['ui/resourceUri'], ['openai/outputTemplate']];
const REQUIRED = { tools: ['name', 'inputSchema'], prompts: ['name'], resources: ['uri', 'name'], resourceTemplates: ['uriTemplate', 'name'] };

/** Of a page that several servers have under one URI all but the first have it by the name of the server. */
function pagesOf(servers) {
  const first = new Map();
  for (const { key, direct } of servers) {
    const own = new Set(direct.lists.resources.map((text) => JSON.parse(text).uri));
    for (const text of direct.lists.tools) {
      const meta = JSON.parse(text)._meta;
      for (const path of PAGES) own.add(path.reduce((value, step) => value?.[step], meta));
    }
    for (const uri of own) if (uri?.startsWith('ui://') && !first.has(uri)) first.set(uri, key);
  }
  return (key, uri) => (first.has(uri) && first.get(uri) !== key ? uri.replace('ui://', `ui://${prefix(key)}`) : uri);
}

/** What the merged endpoint shows of an item, by the documentation; undefined when it leaves it out. */
function mended(name, item, page) {
  if (REQUIRED[name].some((member) => item[member] === undefined || item[member] === null)) return undefined;
  const object = (schema) => isObject(schema) && schema.type === 'object';
  if (name === 'tools' && (!object(item.inputSchema) || (item.outputSchema != null && !object(item.outputSchema)))) return undefined;
  const clean = Object.fromEntries(Object.entries(item).filter(([, value]) => value !== null));
  delete clean.execution;
  if (name === 'resources') clean.uri = page(clean.uri);
  const copy = structuredClone(clean);
  for (const path of PAGES) {
    const holder = path.slice(0, -1).reduce((value, step) => value?.[step], copy._meta);
    const last = path.at(-1);
    if (isObject(holder) && typeof holder[last] === 'string') holder[last] = page(holder[last]);
  }
  return copy;
}

/** Where two values differ, as paths. */
function walk(at, want, got, places) {
  if (want === got) return;
  if (![want, got].every(isObject) || Array.isArray(want) !== Array.isArray(got)) return void places.push([at, want, got]);
  for (const key of new Set([...Object.keys(want), ...Object.keys(got)])) walk(at ? `${at}.${key}` : key, want[key], got[key], places);
}

/** The lists of the merged endpoint, and the call of each server by the name that is published there. */
export async function compareMerged(servers, lists, ask, note) {
  const up = servers.filter(({ direct, single }) => direct && single);
  const pages = pagesOf(up);
  const taken = new Set(); // URIs: of one that several servers have, the first server's is there
  for (const server of up) {
    const { key, direct, call, mask } = server;
    const clean = masker(mask);
    const id = (what) => `${key} merged ${what}`;
    const page = (uri) => pages(key, uri);
    const published = new Map();
    for (const [name, texts] of Object.entries(direct.lists)) {
      const named = name === 'tools' || name === 'prompts';
      const wanted = texts.map((text) => JSON.parse(text)).filter((item) => !item.error).map((item) => mended(name, item, page)).filter(Boolean);
      const all = lists[name].map((text) => JSON.parse(text));
      if (named) {
        const own = all.filter((item) => item.name.startsWith(prefix(key)));
        const [left, right] = [wanted.map((item) => prefix(key) + item.name), own.map((item) => item.name)];
        // A name that hosts would refuse is another one there, in the same place of the list.
        const same = left.length === right.length && left.every((want, i) => (NAME.test(want) ? want === right[i] : NAME.test(right[i])));
        if (!same) {
          note(id(name), `alone:             ${brief(left.join(', '))}`, `through the proxy: ${brief(right.join(', '))}`);
          continue;
        }
        wanted.forEach((item, i) => {
          if (call.method.startsWith(name)) published.set(item.name, own[i].name);
          compareItem(id(`${name} ${item.name}`), { ...item, name: own[i].name }, own[i], clean, note);
        });
      } else {
        for (const item of wanted) {
          const of = idOf(item);
          if (taken.has(`${name} ${of}`)) continue;
          taken.add(`${name} ${of}`);
          const other = all.filter((candidate) => idOf(candidate) === of);
          if (other.length !== 1) note(id(`${name} ${of}`), `it is there ${other.length} times`);
          else compareItem(id(`${name} ${of}`), item, other[0], clean, note);
        }
      }
    }
    const params = call.params.name ? { ...call.params, name: published.get(call.params.name) } : { uri: page(call.params.uri) };
    const answer = await ask({ method: call.method, params }).catch((error) => error.message);
    const [one, other] = [direct.answer, answer].map(clean);
    if (one !== other) note(id('call'), ...apart(one, other));
  }
  const keys = up.map(({ key }) => prefix(key));
  for (const name of ['tools', 'prompts']) {
    const stray = lists[name].map((text) => JSON.parse(text).name).filter((it) => !keys.some((key) => it.startsWith(key)));
    if (stray.length) note(`proxy merged ${name}`, `of no server: ${brief(stray.join(', '))}`);
  }
}
function compareItem(id, want, got, clean, note) {
  const places = [];
  walk('', JSON.parse(clean(JSON.stringify(want))), JSON.parse(clean(JSON.stringify(got))), places);
  for (const [at, left, right] of places) note(`${id} at ${at}`, `alone:             ${brief(JSON.stringify(left))}`, `through the proxy: ${brief(JSON.stringify(right))}`);
}

/**
 * Sorts differences by the lines of differences.txt: `ID: reason`, where `*` in the ID stands for any text. A line is not
 * needed when it meets no difference, although its server is among `keys`.
 */
export function explain(text, differences, keys) {
  const lines = text.split('\n').filter((line) => line.trim() && !line.startsWith('#')).map((line) => {
    const [id, reason] = line.split(/: (.*)/s);
    if (!reason) throw new Error(`no reason in differences.txt: ${line}`);
    const pattern = new RegExp(`^${id.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&')).join('.*')}$`);
    return { line, pattern, met: false, key: id.split(' ')[0] };
  });
  const met = ({ id }) => lines.filter(({ pattern }) => pattern.test(id)).map((it) => (it.met = true)).length > 0;
  const explained = differences.filter(met);
  return {
    explained,
    unexplained: differences.filter((difference) => !explained.includes(difference)),
    unneeded: lines.filter(({ met, key }) => !met && keys.has(key)).map(({ line }) => line)
  };
}
