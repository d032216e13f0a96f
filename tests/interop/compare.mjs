// Compares what a client got through the proxy with what it got from the servers themselves.
//
// `expected` puts together what an endpoint should give from what its servers give directly: names carry the prefix of
// their server, of resources with the same URI the first server's is there. Differences that are right, and nothing
// else, are taken out before `differences` compares:
//   - `protocolVersion` and `serverInfo`: a proxy names itself, and HTTP+SSE may settle on another revision;
//   - capabilities: the proxy may offer less, but only of what `lost` of plan.json names, and never more;
//   - `execution` of tools, which belongs to the tasks capability, where the proxy does not offer that;
//   - in `_meta`, the task that a result or question belongs to, and progress tokens;
//   - the name of a server before the logger of its log messages, at the merged endpoint;
//   - what `mask` of the plan names: times of day and the like, also inside base64;
//   - the environment that `get-env` prints, except INTEROP_MARK, which is different for each server.

/** What an endpoint should give: `parts` are `{key, prefix, transcript}` in the order of the configuration. */
export function expected(parts) {
  const want = { init: { capabilities: {}, instructions: [] }, lists: {}, parts: {} };
  for (const { key, prefix, transcript } of parts) {
    want.init.capabilities = union(want.init.capabilities, transcript.init.capabilities);
    want.init.instructions.push(transcript.init.instructions ?? '');
    for (const [what, items] of Object.entries(transcript.lists)) {
      const published = items.map((item) => (what === 'tools' || what === 'prompts' ? { ...item, name: prefix + item.name } : item));
      const list = (want.lists[what] ??= []);
      for (const item of published) if (!list.some((other) => idOf(other) === idOf(item))) list.push(item);
    }
    Object.assign(want.parts, transcript.parts);
  }
  return want;
}

/** Lists the differences, one text for each step; `plans` are those of the parts, by key. */
export function differences(want, got, plans, lost) {
  if (!got.init) return [`the client gave up: ${got.error}`];
  const found = got.error ? [`the client gave up: ${got.error}`] : [];
  found.push(... capabilityDifferences(want.init.capabilities, got.init.capabilities, Object.keys(lost)));
  for (const text of want.init.instructions) if (!(got.init.instructions ?? '').includes(text)) found.push('initialize: the instructions are lost');
  const dropExecution = got.init.capabilities.tasks === undefined;
  const keys = Object.keys(want.parts);
  const clean = normaliser([], dropExecution, keys);
  for (const what of Object.keys({ ...want.lists, ...got.lists })) compareList(what, clean(want.lists[what] ?? []), clean(got.lists[what] ?? []), found);
  for (const key of keys) {
    const where = keys.length > 1 ? `${key}: ` : '';
    const cleanStep = normaliser(plans[key].mask, dropExecution, keys);
    const [left, right] = [want, got].map((t) => new Map((t.parts[key] ?? []).map((step) => [step.name, step])));
    for (const name of new Set([...left.keys(), ...right.keys()])) {
      const [direct, proxied] = [left, right].map((steps) => steps.get(name));
      if (!direct || !proxied) found.push(`${where}${name}: only ${direct ? 'without' : 'through'} the proxy`);
      else compare(where + name, cleanStep(stepOf(direct)), cleanStep(stepOf(proxied)), found);
    }
  }
  // Equal on both sides, but wrong all the same.
  for (const { name, answer, client } of Object.values(got.parts).flat()) {
    if (name.endsWith('is not in the plan')) found.push(name);
    if (client !== undefined) found.push(`${name}: the client says: ${client}`);
    for (const wrong of answer?.wrong ?? []) found.push(`${name}: an answer to another question: ${brief(wrong)}`);
  }
  for (const message of got.late) found.push(`an answer to a request that was cancelled: ${brief(message)}`);
  return found;
}

/** What the one-line summary says of a transcript. */
export function summary({ parts }) {
  const steps = Object.values(parts).flat();
  const sum = (count) => steps.reduce((n, step) => n + count(step), 0);
  const news = ({ log = [], updated = [], changed }) => log.length + updated.length + (changed ? 1 : 0);
  return `${steps.length} steps, ${sum((s) => s.questions?.length ?? 0)} questions, ${sum((s) => s.progress?.length ?? 0)} progress, ${sum(news)} news`;
}

const isObject = (value) => typeof value === 'object' && value !== null;
const idOf = ({ uri, uriTemplate, name }) => uri ?? uriTemplate ?? name;

function union(one, other) {
  const both = { ...one };
  for (const [key, value] of Object.entries(other)) both[key] = isObject(value) ? union(both[key] ?? {}, value) : both[key] || value;
  return both;
}

function capabilityDifferences(direct, proxied, optional, path = '') {
  const found = [];
  for (const key of new Set([...Object.keys(direct), ...Object.keys(proxied)])) {
    const at = path + key;
    const [want, got] = [direct[key], proxied[key]].map((v) => (v === false ? undefined : v)); // false is the default
    if (want !== undefined && got === undefined && !optional.includes(at)) found.push(`capabilities: ${at} is lost`);
    // A proxy can announce changes of a list that its upstream never changes.
    if (want === undefined && got !== undefined && key !== 'listChanged') found.push(`capabilities: ${at} is claimed, but the server has it not`);
    if (isObject(want) && isObject(got)) found.push(...capabilityDifferences(want, got, optional, `${at}.`));
  }
  return found;
}

/** First who is there and in which order, then each item. */
function compareList(what, want, got, found) {
  const [left, right] = [want, got].map((items) => items.map(idOf));
  const missing = left.filter((id) => !right.includes(id));
  const extra = right.filter((id) => !left.includes(id));
  if (missing.length) found.push(`${what}: not listed through the proxy: ${missing.join(', ')}`);
  if (extra.length) found.push(`${what}: listed only through the proxy: ${extra.join(', ')}`);
  if (right.length !== new Set(right).size) found.push(`${what}: listed twice: ${right.filter((id, i) => right.indexOf(id) !== i).join(', ')}`);
  const order = (ids, others) => ids.filter((id) => others.includes(id)).join(', ');
  if (order(left, right) !== order(right, left)) found.push(`${what}: in another order: ${order(right, left)}`);
  for (const item of want) {
    const other = got.find((candidate) => idOf(candidate) === idOf(item));
    if (other) compare(`${what}: ${idOf(item)}`, item, other, found);
  }
}

/** What is compared of a step. */
function stepOf({ name, answer, progress, questions, log, updated, changed, client }) {
  if (name.startsWith('tool get-env') && answer?.content) return { mark: JSON.parse(answer.content[0].text).INTEROP_MARK };
  return { answer, progress, questions, log, updated, changed, client };
}

function normaliser(masks, dropExecution, keys) {
  const patterns = masks.map(([pattern, by]) => [new RegExp(pattern, 'g'), by]);
  const replace = (text) => patterns.reduce((t, [pattern, by]) => t.replace(pattern, by), text);
  const server = new RegExp(`^(\\w+) (?:${keys.join('|')})(?:[/.:](?=\\S)|(?=: ))`);
  const unnamed = (line) => (keys.length > 1 ? line.replace(server, '$1 ').replace(/^(\w+) : /, '$1 -: ') : line);
  const clean = (value, key) => {
    if (typeof value === 'string') return key === 'blob' ? replace(Buffer.from(value, 'base64').toString('latin1')) : replace(value);
    if (key === 'log' && Array.isArray(value)) return [...new Set(value.map((line) => replace(unnamed(line))))];
    if (Array.isArray(value)) return value.map((item) => clean(item));
    if (!isObject(value)) return value;
    const dropped = (k, v) => (dropExecution && k === 'execution') || (key === '_meta' && OWN_META.includes(k)) || v === undefined;
    const entries = Object.entries(value).filter(([k, v]) => !dropped(k, v)).map(([k, v]) => [k, clean(v, k)]);
    return Object.fromEntries(entries.filter(([k, v]) => k !== '_meta' || Object.keys(v ?? {}).length));
  };
  return clean;
}
const OWN_META = ['io.modelcontextprotocol/related-task', 'progressToken'];

/** Says where two values differ first, and in how many places more. */
function compare(what, want, got, found) {
  const places = [];
  walk('', want, got, places);
  if (!places.length) return;
  const [{ at, ...values }] = places;
  const [without, through] = briefly(values.want, values.got);
  const more = places.length > 1 ? `\n      and at ${places.length - 1} other places of it` : '';
  found.push(`${what}${at ? ` at ${at}` : ''}\n      without the proxy: ${without}\n      through the proxy: ${through}${more}`);
}

/** Deep equality that ignores the order of object members and says where it ends. */
function walk(at, want, got, places) {
  if (want === got) return;
  if (![want, got].every(isObject) || Array.isArray(want) !== Array.isArray(got)) return void places.push({ at, want, got });
  for (const key of new Set([...Object.keys(want), ...Object.keys(got)])) walk(at ? `${at}.${key}` : key, want[key], got[key], places);
}

/** Both as JSON, from shortly before they part. */
function briefly(...values) {
  const texts = values.map((value) => JSON.stringify(value) ?? 'nothing');
  let same = 0;
  while (same < texts[0].length && texts[0][same] === texts[1][same]) same++;
  const from = same > 40 ? same - 20 : 0;
  return texts.map((text) => `${from ? '…' : ''}${text.slice(from, from + 160)}${text.length > from + 160 ? '…' : ''}`);
}

function brief(value) {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 160 ? `${text.slice(0, 160)}…` : text;
}
