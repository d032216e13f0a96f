// install.mjs all|ci   installs the servers of servers.json, pinned, into $FLEET_HOME
//
// Packages of npm share one folder, packages of PyPI have an environment each, since their dependencies do not agree.
// Installation scripts of npm packages are not run. What is complete and of the wanted version is not installed again.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chosen } from './servers.mjs';

const home = process.env.FLEET_HOME;
const fleet = process.argv[2];
const run = (command, args, cwd) => new Promise((done, failed) => {
  const child = spawn(command, args, { cwd, stdio: ['ignore', 'ignore', 'inherit'] });
  child.on('error', failed);
  child.on('close', (code) => (code === 0 ? done() : failed(new Error(`${command} ${args.join(' ')}: exit code ${code}`))));
});
const complete = (marker, want) => existsSync(marker) && readFileSync(marker, 'utf8') === want;

const servers = chosen(fleet);
async function installNpm() {
  const dependencies = Object.fromEntries(servers.filter(({ npm }) => npm).map(({ npm, version }) => [npm, version]));
  const manifest = JSON.stringify({ name: 'mcp-proxy-fleet', private: true, dependencies }, null, 1);
  const folder = join(home, `node-${fleet}`);
  if (complete(join(folder, 'installed.json'), manifest)) return;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), manifest);
  await run('npm', ['install', '--ignore-scripts', '--legacy-peer-deps', '--no-audit', '--no-fund', '--loglevel=error'], folder);
  writeFileSync(join(folder, 'installed.json'), manifest);
}
async function installPypi({ pypi, version, also = [] }) {
  const folder = join(home, 'python', pypi);
  const want = [`${pypi}==${version}`, ...also];
  if (complete(join(folder, 'installed.txt'), want.join('\n'))) return;
  rmSync(folder, { recursive: true, force: true });
  await run('python3', ['-m', 'venv', '--without-pip', folder]);
  await run('python3', ['-m', 'pip', '--python', join(folder, 'bin/python'), 'install', '--quiet', '--disable-pip-version-check', '--no-compile', ...want]);
  writeFileSync(join(folder, 'installed.txt'), want.join('\n'));
}
// Two at a time: most of it is waiting and unpacking.
const queue = [installNpm, ...servers.filter(({ pypi }) => pypi).map((server) => () => installPypi(server))];
const worker = async () => { for (let work; (work = queue.shift());) await work(); };
await Promise.all([worker(), worker()]);
