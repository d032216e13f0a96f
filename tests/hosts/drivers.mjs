// How each host is started: its configuration, what turns off its updates and telemetry, and its model.
//
// A driver gets a stage: `home`, `work` (its current folder), `folder` (where it is installed), `url` of the proxy's merged
// endpoint, `model` (address of the stub), `env`, `config(client)` (what `client-config` prints), and `write(path, text)`.
// It gives the command. Keys of models are made up: nobody logs in anywhere.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { here } from './hosts.mjs';

const PROMPT = 'Which word belongs to the seed "before"?';
const KEY = 'not-a-key';

/** A command of a host from npm, as node runs it. */
function script({ folder, host }, bin) {
  const home = join(folder, 'node_modules', host.npm);
  const { bin: bins } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'));
  return join(home, typeof bins === 'string' ? bins : bins[bin]);
}
const node = (path, ...args) => ({ command: process.execPath, args: [path, ...args] });
/** Packages with a program for each platform have it in a package of its own. */
const program = ({ folder }, scope, ...path) => join(folder, 'node_modules', `${scope}-${process.platform}-${process.arch}`, ...path);
const merged = (text, more) => JSON.stringify({ ...JSON.parse(text), ...more }, null, 1);

const drivers = {
  'claude-code'(stage) {
    const file = stage.write(join(stage.work, '.mcp.json'), stage.config('claude-code'));
    return {
      command: program(stage, '@anthropic-ai/claude-code', 'claude'),
      args: ['-p', PROMPT, '--mcp-config', file, '--strict-mcp-config', '--allowedTools', 'mcp__mcp-proxy'],
      env: {
        ...stage.env, ANTHROPIC_BASE_URL: stage.model, ANTHROPIC_API_KEY: KEY, ENABLE_TOOL_SEARCH: 'false',
        CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: '1', DISABLE_TELEMETRY: '1', DISABLE_AUTOUPDATER: '1', DISABLE_ERROR_REPORTING: '1'
      }
    };
  },
  gemini(stage) {
    stage.write(join(stage.home, '.gemini/settings.json'), merged(stage.config('gemini'), {
      security: { auth: { selectedType: 'gemini-api-key' } }, privacy: { usageStatisticsEnabled: false },
      general: { enableAutoUpdate: false, enableAutoUpdateNotification: false }, telemetry: { enabled: false }
    }));
    return {
      ...node(script(stage, 'gemini'), '-m', 'gemini-2.5-flash', '-p', PROMPT, '--yolo'),
      env: { ...stage.env, GEMINI_API_KEY: KEY, GOOGLE_GEMINI_BASE_URL: stage.model, GEMINI_CLI_TRUST_WORKSPACE: 'true', GEMINI_CLI_NO_RELAUNCH: 'true' }
    };
  }
};

/** The driver of a host: one of these, or a program of the folder `libraries` that uses the library without a model. */
export function driverOf(host) {
  if (drivers[host.key]) return drivers[host.key];
  const own = join(here, 'libraries', `${host.key}.${host.npm ? 'mjs' : 'py'}`);
  if (!existsSync(own)) throw new Error(`nothing says how ${host.key} is started`);
  return ({ folder, url, model, env, transport }) => ({
    command: host.npm ? process.execPath : join(folder, 'bin/python'),
    // The programs are called as their libraries are, so Python must not look for modules beside them.
    args: [...(host.npm ? [] : ['-P']), own, url, transport],
    env: { ...env, RESTART: `${model}/restart`, HOST_FOLDER: folder, PYTHONPATH: join(here, 'libraries/steps'), PYTHONDONTWRITEBYTECODE: '1' }
  });
}
