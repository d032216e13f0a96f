#!/usr/bin/env node
// score.mjs OUT REVISION   reads the checks.json files of one run
//
// A scenario passes when none of its checks failed and at least one check that
// says something about the server succeeded. That is stricter than the suite's
// own tick in two ways, both needed so that a dead endpoint scores 0:
//   - wire-schema-valid is left out of the counts, because it succeeds when the
//     only messages seen are the suite's own; when it FAILS it still fails the
//     scenario;
//   - a scenario with nothing but warnings or skips has not passed.
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const [out, revision] = process.argv.slice(2);
const list = readFileSync(
  join(process.env.CONF_HOME, 'suite/node_modules/@modelcontextprotocol/conformance/requirements', `${revision}.yaml`), 'utf8');
const block = (key) => list.split(/^(?=\w+:)/m).find((b) => b.startsWith(`${key}:`)) ?? '';
const scored = [...block('server').matchAll(/^ {2}- (\S+)/gm)].map((m) => m[1]);
const extra = [...block('not_scored').matchAll(/- scenario: (\S+)\s+leg: server/g)].map((m) => m[1]);

const results = join(out, 'results');
const dirs = existsSync(results) ? readdirSync(results) : [];
function read(name) {
  const dir = dirs.find((d) => d.replace(/-\d{4}-\d\d-\d\dT.*$/, '') === `server-${name}`) ?? dirs.find((d) => d.startsWith(`server-${name}-20`));
  const file = dir && join(results, dir, 'checks.json');
  if (!file || !existsSync(file)) return { name, checks: 0, ok: 0, warn: 0, pass: false, failed: [['', 'the scenario threw or timed out']] };
  const all = JSON.parse(readFileSync(file, 'utf8'));
  const real = all.filter((c) => c.id !== 'wire-schema-valid');
  const failed = all.filter((c) => c.status === 'FAILURE').map((c) => [c.id, c.errorMessage ?? '']);
  const ok = real.filter((c) => c.status === 'SUCCESS').length;
  const warn = real.filter((c) => c.status === 'WARNING').length;
  const pass = failed.length === 0 && ok > 0;
  if (!pass && !failed.length) {
    const why = real.filter((c) => c.status === 'WARNING' || c.status === 'SKIPPED' || c.status === 'INFO');
    failed.push(...(why.length ? why.map((c) => [c.id, `${c.status.toLowerCase()}: ${c.errorMessage ?? c.details?.message ?? ''}`]) : [['', 'no check ran']]));
  }
  return { name, checks: ok + real.filter((c) => c.status === 'FAILURE').length, ok, warn, pass, failed };
}
const must = scored.map(read);
const may = extra.map(read);
const sum = (rows, key) => rows.reduce((n, r) => n + r[key], 0);
const good = (rows) => rows.filter((r) => r.pass).length;
console.log(
  `${revision}: passed ${sum(must, 'ok')} of ${sum(must, 'checks')} checks, scenarios ${good(must)} of ${must.length}` +
    ` (${sum(must, 'warn')} warnings); not scored: ${sum(may, 'ok')} of ${sum(may, 'checks')} checks, scenarios ${good(may)} of ${may.length}`);
for (const [title, rows] of [['failed', must], ['not scored, failed', may]])
  for (const r of rows.filter((x) => !x.pass))
    console.log(`  ${title}: ${r.name}: ${r.failed.slice(0, 40).map(([id, why]) => `${id}${why ? ` (${why.replace(/\s+/g, ' ').slice(0, 160)})` : ''}`).join('; ')}`);
process.exit(good(must) === must.length ? 0 : 1);
