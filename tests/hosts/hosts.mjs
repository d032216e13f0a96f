// The hosts of hosts.json: `key`; `npm` or `pypi` and `version`; `also` what is installed with it.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const here = dirname(fileURLToPath(import.meta.url));

/** The hosts with these keys, or all. */
export function chosen(keys) {
  const hosts = JSON.parse(readFileSync(join(here, 'hosts.json'), 'utf8'));
  const unknown = keys.filter((key) => !hosts.some((host) => host.key === key));
  if (unknown.length) throw new Error(`no such host: ${unknown.join(', ')}; there are ${hosts.map(({ key }) => key).join(', ')}`);
  return keys.length ? hosts.filter(({ key }) => keys.includes(key)) : hosts;
}
/** Where a host is installed. */
export const folderOf = ({ key }) => join(process.env.HOSTS_HOME, key);
