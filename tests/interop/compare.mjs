// Compares what a client got through the proxy with what it got from the server itself.
//
// Differences that are right, and nothing else, are taken out before:
//   - `protocolVersion` and `serverInfo`: a proxy names itself, and HTTP+SSE may settle on another revision;
//   - capabilities: the proxy may offer less, but only of what is listed in OPTIONAL, and never more;
//   - `execution` of tools, which belongs to the tasks capability, where the proxy does not offer that;
//   - what `mask` of the plan names: times of day and the like, also inside base64;
//   - the environment that `get-env` prints, except INTEROP_MARK, which is set for this.

/** Capabilities (as paths) that a proxy need not carry. */
const OPTIONAL = ['logging', 'tasks', 'experimental', 'extensions', 'resources.subscribe'];

/** Lists the differences between two transcripts, each as one text. */
export function differences(direct, proxied, masks) {
  const found = capabilityDifferences(direct.init.capabilities, proxied.init.capabilities);
  if (!(proxied.init.instructions ?? '').includes(direct.init.instructions ?? '')) found.push('initialize: the instructions are lost');
  const clean = normaliser(masks, proxied.init.capabilities.tasks === undefined);
  const [left, right] = [direct, proxied].map((t) => new Map(t.steps.map((step) => [step.name, step])));
  for (const name of new Set([...left.keys(), ...right.keys()])) {
    const [want, got] = [left, right].map((steps) => steps.get(name));
    if (!want || !got) found.push(`${name}: only ${want ? 'without' : 'through'} the proxy`);
    else walk(name, clean(want), clean(got), found);
  }
  // Equal on both sides, but wrong all the same.
  for (const { name, answer, client } of proxied.steps) {
    if (name.endsWith('is not in the plan')) found.push(name);
    if (client !== undefined) found.push(`${name}: the SDK says: ${client}`);
    for (const wrong of answer?.wrong ?? []) found.push(`${name}: an answer to another question: ${brief(wrong)}`);
  }
  return found;
}

/** Counts for the one-line summary. */
export function counts({ steps }) {
  const of = (word) => steps.filter((s) => s.name.startsWith(`${word} `)).length;
  const progress = steps.reduce((n, s) => n + (s.progress?.length ?? 0), 0);
  return { tool: of('tool'), read: of('read'), prompt: of('prompt'), complete: of('complete'), progress };
}

function capabilityDifferences(direct, proxied, path = '') {
  const found = [];
  const isObject = (v) => typeof v === 'object' && v !== null;
  for (const key of new Set([...Object.keys(direct), ...Object.keys(proxied)])) {
    const at = path + key;
    const [want, got] = [direct[key], proxied[key]].map((v) => (v === false ? undefined : v)); // false is the default
    if (want !== undefined && got === undefined && !OPTIONAL.includes(at)) found.push(`capabilities: ${at} is lost`);
    // A proxy can announce changes of a list that its upstream never changes.
    if (want === undefined && got !== undefined && key !== 'listChanged') found.push(`capabilities: ${at} is claimed, but the server has it not`);
    if (isObject(want) && isObject(got)) found.push(...capabilityDifferences(want, got, `${at}.`));
  }
  return found;
}

function normaliser(masks, dropExecution) {
  const replace = (text) => masks.reduce((t, [pattern, by]) => t.replace(new RegExp(pattern, 'g'), by), text);
  const clean = (value, key) => {
    if (typeof value === 'string') return key === 'blob' ? replace(Buffer.from(value, 'base64').toString('latin1')) : replace(value);
    if (Array.isArray(value)) return value.map((item) => clean(item));
    if (value === null || typeof value !== 'object') return value;
    const entries = Object.entries(value).filter(([k]) => !(dropExecution && k === 'execution'));
    return Object.fromEntries(entries.map(([k, v]) => [k, clean(v, k)]));
  };
  return ({ name, answer, progress, client }) => {
    if (name.startsWith('tool get-env')) {
      return { mark: JSON.parse(answer.content[0].text).INTEROP_MARK };
    }
    return clean({ answer, progress, client });
  };
}

/** Deep equality that ignores the order of object members and says where it ends. */
function walk(at, want, got, found) {
  if (want === got) return;
  const objects = [want, got].every((v) => typeof v === 'object' && v !== null);
  if (!objects || Array.isArray(want) !== Array.isArray(got)) {
    found.push(`${at}\n      without the proxy: ${brief(want)}\n      through the proxy: ${brief(got)}`);
    return;
  }
  for (const key of new Set([...Object.keys(want), ...Object.keys(got)])) walk(`${at} .${key}`, want[key], got[key], found);
}

function brief(value) {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 300 ? `${text.slice(0, 300)}… (${text.length} characters)` : text;
}
