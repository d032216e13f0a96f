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
  },
  codex(stage) {
    // `required`: without it the first request goes out before the list of tools is there.
    const config = stage.config('codex').replace(/^url = .*$/m, '$&\nrequired = true');
    stage.write(join(stage.home, '.codex/config.toml'), [
      'model = "gpt-5"', 'model_provider = "stub"', 'check_for_update_on_startup = false', '[analytics]', 'enabled = false',
      '[model_providers.stub]', 'name = "stub"', `base_url = "${stage.model}/v1"`, 'env_key = "STUB_KEY"', 'wire_api = "responses"', config
    ].join('\n'));
    return {
      ...node(script(stage, 'codex'), 'exec', '--skip-git-repo-check', '--dangerously-bypass-approvals-and-sandbox', PROMPT),
      env: { ...stage.env, CODEX_HOME: join(stage.home, '.codex'), STUB_KEY: KEY }
    };
  },
  opencode(stage) {
    stage.write(join(stage.work, 'opencode.json'), merged(stage.config('opencode'), {
      model: 'stub/stub', small_model: 'stub/stub', autoupdate: false, share: 'disabled', enabled_providers: ['stub'],
      provider: { stub: { npm: '@ai-sdk/openai-compatible', name: 'stub', options: { baseURL: `${stage.model}/v1`, apiKey: KEY }, models: { stub: { name: 'stub', tool_call: true } } } }
    }));
    return {
      command: program(stage, 'opencode', 'bin/opencode'), args: ['run', PROMPT],
      env: { ...stage.env, OPENCODE_DISABLE_AUTOUPDATE: '1', OPENCODE_DISABLE_MODELS_FETCH: '1', OPENCODE_DISABLE_LSP_DOWNLOAD: '1', OPENCODE_DISABLE_DEFAULT_PLUGINS: '1' }
    };
  },
  qwen(stage) {
    stage.write(join(stage.home, '.qwen/settings.json'), merged(stage.config('qwen'), {
      security: { auth: { selectedType: 'openai' }, folderTrust: { enabled: false } }, privacy: { usageStatisticsEnabled: false },
      general: { enableAutoUpdate: false, disableAutoUpdate: true }, telemetry: { enabled: false }
    }));
    return {
      ...node(script(stage, 'qwen'), '-p', PROMPT, '--yolo', '--auth-type', 'openai'),
      env: { ...stage.env, OPENAI_API_KEY: KEY, OPENAI_BASE_URL: `${stage.model}/v1`, OPENAI_MODEL: 'stub', QWEN_CODE_NO_RELAUNCH: 'true' }
    };
  },
  copilot(stage) {
    stage.write(join(stage.work, '.mcp.json'), stage.config('copilot'));
    return {
      command: program(stage, '@github/copilot', 'copilot'),
      args: ['-p', PROMPT, '--disable-builtin-mcps', '--no-auto-update'],
      env: {
        ...stage.env, COPILOT_ALLOW_ALL: 'true', COPILOT_OFFLINE: 'true', COPILOT_AUTO_UPDATE: 'false', COPILOT_MODEL: 'stub',
        COPILOT_PROVIDER_BASE_URL: `${stage.model}/v1`, COPILOT_PROVIDER_TYPE: 'openai', COPILOT_PROVIDER_API_KEY: KEY
      }
    };
  },
  cline(stage) {
    stage.write(join(stage.home, '.cline/data/settings/cline_mcp_settings.json'), stage.config('cline'));
    const settings = { provider: 'openai-compatible', apiKey: KEY, model: 'stub', baseUrl: `${stage.model}/v1` };
    stage.write(join(stage.home, '.cline/data/settings/providers.json'), JSON.stringify({
      version: 1, lastUsedProvider: settings.provider, modes: {},
      providers: { [settings.provider]: { settings, updatedAt: '2026-01-01T00:00:00.000Z', tokenSource: 'manual' } }
    }));
    return {
      command: program(stage, '@cline/cli', 'bin/cline'),
      args: ['--timeout', '60', PROMPT],
      env: { ...stage.env, CLINE_NO_AUTO_UPDATE: '1' }
    };
  },
  continue(stage) {
    // The command line tool reads no other file than this, so what is printed is the beginning of it.
    const config = stage.write(join(stage.home, '.continue/config.yaml'), [
      `${stage.config('continue')}models:`, '  - name: stub', '    provider: openai', '    model: stub', `    apiKey: ${KEY}`,
      `    apiBase: ${stage.model}/v1`, '    roles: [chat]', '    capabilities: [tool_use]', ''
    ].join('\n'));
    return {
      ...node(script(stage, 'cn'), '-p', PROMPT, '--config', config, '--auto'),
      env: { ...stage.env, CONTINUE_TELEMETRY_ENABLED: '0', CONTINUE_METRICS_ENABLED: '0', CONTINUE_CLI_ENABLE_TELEMETRY: '0' }
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
