// install.mjs [KEY...]   installs the hosts of hosts.json, pinned, into $HOSTS_HOME, each into a folder of its own
//
// Installation scripts of npm packages are not run. What is complete and of the wanted version is not installed again.
// A host that cannot be installed gets a file `failed.txt` with the reason, and the others go on.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chosen, folderOf } from './hosts.mjs';

const PATIENCE = 900_000;
const run = (command, args, cwd) => new Promise((done, failed) => {
  const child = spawn(command, args, { cwd, stdio: ['ignore', 'ignore', 'pipe'] });
  const timer = setTimeout(() => child.kill(), PATIENCE);
  let said = '';
  child.stderr.on('data', (chunk) => { said = (said + chunk).slice(-2_000); });
  child.on('error', (error) => { clearTimeout(timer); failed(error); });
  child.on('close', (code, signal) => {
    clearTimeout(timer);
    const last = said.trim().split('\n').findLast((line) => /error/i.test(line)) ?? '';
    return code === 0 ? done() : failed(new Error(`${command} ended with ${code ?? signal}: ${last.trim()}`));
  });
});
/** The newest Python that is here: some of the packages want one of the last. */
async function python() {
  for (const name of ['python3.14', 'python3.13', 'python3.12']) {
    if (await run(name, ['-c', 'import venv']).then(() => true, () => false)) return name;
  }
  return 'python3';
}
const newest = python();

async function installNpm(folder, { npm, version, also = {} }) {
  const manifest = { name: 'mcp-proxy-host', private: true, dependencies: { [npm]: version, ...also } };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest, null, 1));
  await run('npm', ['install', '--ignore-scripts', '--legacy-peer-deps', '--no-audit', '--no-fund', '--loglevel=error'], folder);
}
async function installPypi(folder, { pypi, version, also = [] }) {
  await run(await newest, ['-m', 'venv', folder]);
  await run(join(folder, 'bin/python'), ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-compile', `${pypi}==${version}`, ...also]);
}
async function install(host) {
  const folder = folderOf(host);
  const want = JSON.stringify([host.npm ?? host.pypi, host.version, host.also]);
  const marker = join(folder, 'installed.json');
  if (existsSync(marker) && readFileSync(marker, 'utf8') === want) return;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  try {
    await (host.npm ? installNpm : installPypi)(folder, host);
    writeFileSync(marker, want);
  } catch (error) {
    console.error(`${host.key} cannot be installed: ${error.message}`);
    writeFileSync(join(folder, 'failed.txt'), error.message);
  }
}
// Two at a time: most of it is waiting and unpacking.
const queue = chosen(process.argv.slice(2));
const worker = async () => { for (let host; (host = queue.shift());) await install(host); };
await Promise.all([worker(), worker()]);
