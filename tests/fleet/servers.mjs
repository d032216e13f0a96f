// The servers of servers.json and how each is started from its installed package.
//
// Members of an entry: `key`; `npm` or `pypi` and `version`; `also` more requirements of PyPI; `bin` the name of the
// command (default: the package's first); `args`, `env`; `ci` whether .ci/run starts it; `tool` and `arguments` of the
// harmless call, or `prompt`, or `read` a URI; `mask` patterns of what differs from run to run. DIR in a text is the
// folder that all of them may use.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));

export function chosen(fleet) {
  if (!['all', 'ci'].includes(fleet)) throw new Error(`no such fleet: ${fleet}`);
  const servers = JSON.parse(readFileSync(join(here, 'servers.json'), 'utf8'));
  return servers.filter(({ ci }) => fleet === 'all' || ci);
}

/** Command and arguments, from the installed package and not through npx or uvx. */
export function commandOf({ npm, pypi, bin, args = [] }, fleet, home) {
  if (pypi) return { command: join(home, 'python', pypi, 'bin', bin ?? pypi), args };
  const folder = join(home, `node-${fleet}`, 'node_modules', npm);
  const { bin: bins } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const script = typeof bins === 'string' ? bins : bin ? bins[bin] : Object.values(bins)[0];
  return { command: process.execPath, args: [join(folder, script), ...args] };
}
