// The reverse proxies of templates/fronts, each started with its recipe as it stands there but for four things: the name,
// the two ports and the place of the certificate. Everything else it needs to run at all is in a file around it.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { out, start, stop } from '../oauth/lib.mjs';

const recipes = new URL('../../templates/fronts/', import.meta.url).pathname;
const root = process.getuid() === 0;
const chain = '/etc/letsencrypt/live/mcp.example.com/fullchain.pem';
const key = '/etc/letsencrypt/live/mcp.example.com/privkey.pem';

/**
 * What differs: `program`, `version` (its arguments), `recipe`, what of it is `replaced` (each exactly as often as said),
 * `around`: the files beside it and the arguments to start it with, and `bare`: the recipe that people write by themselves.
 */
export const fronts = {
  nginx: {
    program: 'nginx', version: ['-v'], recipe: 'nginx.conf',
    replaced: ({ port, upstream, certificate }) => [
      ['listen 443 ssl;', `listen 127.0.0.1:${port} ssl;`, 1], ['mcp.example.com;', 'localhost;', 1],
      [chain, certificate.chain, 1], [key, certificate.key, 1], ['127.0.0.1:9090', `127.0.0.1:${upstream}`, 1]
    ],
    around: ({ dir, file }) => {
      const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${dir}/${name};`).join(' ');
      writeFileSync(join(dir, 'main.conf'), `${root ? 'user root;' : ''} pid ${dir}/pid; error_log ${dir}/error.log; worker_processes 1; daemon off;
        events {} http { access_log off; ${temporary} include ${file}; }\n`);
      return ['-p', dir, '-e', join(dir, 'error.log'), '-c', join(dir, 'main.conf')];
    },
    bare: ({ port, upstream, certificate }) => `server { listen 127.0.0.1:${port} ssl; ssl_certificate ${certificate.chain}; ssl_certificate_key ${certificate.key};
      location / { proxy_pass http://127.0.0.1:${upstream}; } }\n`
  },
  haproxy: {
    program: 'haproxy', version: ['-v'], recipe: 'haproxy.cfg',
    replaced: ({ port, upstream, certificate }) => [
      ['bind :443 ', `bind 127.0.0.1:${port} `, 1], ['/etc/haproxy/certs/mcp.example.com.pem', certificate.both, 1],
      ['127.0.0.1:9090', `127.0.0.1:${upstream}`, 1]
    ],
    around: ({ file }) => ['-db', '-f', file],
    bare: ({ port, upstream, certificate }) => `defaults\n mode http\n timeout connect 5s\n timeout client 50s\n timeout server 50s
listen mcp\n bind 127.0.0.1:${port} ssl crt ${certificate.both}\n server mcp 127.0.0.1:${upstream}\n`
  },
  apache: {
    program: 'apache2', version: ['-v'], recipe: 'apache.conf',
    replaced: ({ port, upstream, certificate }) => [
      ['<VirtualHost *:443>', `<VirtualHost 127.0.0.1:${port}>`, 1], ['ServerName mcp.example.com', 'ServerName localhost', 1],
      [chain, certificate.chain, 1], [key, certificate.key, 1], ['127.0.0.1:9090', `127.0.0.1:${upstream}`, 1]
    ],
    around: ({ dir, file, port }) => {
      const modules = ['mpm_event', 'authz_core', 'socache_shmcb', 'ssl', 'headers', 'proxy', 'proxy_http'];
      const load = modules.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`).join('\n');
      const user = root ? 'User www-data\nGroup www-data' : '';
      writeFileSync(join(dir, 'main.conf'), `ServerRoot ${dir}\nServerName localhost\nPidFile ${dir}/pid\nErrorLog ${dir}/error.log
DefaultRuntimeDir ${dir}\nListen 127.0.0.1:${port}\nTimeout 300\n${load}\n${user}\nInclude ${file}\n`);
      return ['-D', 'FOREGROUND', '-f', join(dir, 'main.conf')];
    },
    bare: ({ port, upstream, certificate }) => `<VirtualHost 127.0.0.1:${port}>\nSSLEngine on\nSSLCertificateFile ${certificate.chain}
SSLCertificateKeyFile ${certificate.key}\nProxyPass / http://127.0.0.1:${upstream}/\n</VirtualHost>\n`
  },
  caddy: {
    program: 'caddy', version: ['version'], recipe: 'Caddyfile',
    replaced: ({ upstream }) => [['mcp.example.com {', 'localhost {', 1], ['127.0.0.1:9090', `127.0.0.1:${upstream}`, 1]],
    around: ({ dir, file, port }) => {
      writeFileSync(join(dir, 'main'), `{
        admin off
        local_certs
        skip_install_trust
        auto_https disable_redirects
        default_bind 127.0.0.1
        https_port ${port}
        storage file_system ${dir}/storage
      }
      import ${file}\n`);
      return ['run', '--adapter', 'caddyfile', '--config', join(dir, 'main')];
    },
    bare: ({ upstream }) => `localhost {\n reverse_proxy 127.0.0.1:${upstream}\n}\n`
  },
  lighttpd: {
    program: 'lighttpd', version: ['-v'], recipe: 'lighttpd.conf',
    replaced: ({ port, upstream, certificate }) => [
      ['":443"', `"127.0.0.1:${port}"`, 1], [chain, certificate.chain, 1], [key, certificate.key, 1], ['"port" => 9090', `"port" => ${upstream}`, 1]
    ],
    around: ({ dir, file, port }) => {
      writeFileSync(join(dir, 'main.conf'), `server.document-root = "${dir}"\nserver.bind = "127.0.0.1"\nserver.port = ${port}
server.errorlog = "${dir}/error.log"\nserver.upload-dirs = ("${dir}")\ninclude "${file}"\n`);
      return ['-D', '-f', join(dir, 'main.conf')];
    },
    bare: ({ port, upstream, certificate }) => `server.modules += ( "mod_openssl", "mod_proxy" )\n$SERVER["socket"] == "127.0.0.1:${port}" {
 ssl.engine = "enable"\n ssl.pemfile = "${certificate.chain}"\n ssl.privkey = "${certificate.key}"
 proxy.server = ( "" => ( ( "host" => "127.0.0.1", "port" => ${upstream} ) ) )\n}\n`
  },
  envoy: {
    program: 'envoy', version: ['--version'], recipe: 'envoy.yaml',
    replaced: ({ port, upstream, certificate }) => [
      ['address: 0.0.0.0, port_value: 443', `address: 127.0.0.1, port_value: ${port}`, 1], [chain, certificate.chain, 1], [key, certificate.key, 1],
      ['address: 127.0.0.1, port_value: 9090', `address: 127.0.0.1, port_value: ${upstream}`, 1]
    ],
    around: ({ file }) => ['--use-dynamic-base-id', '--log-level', 'warn', '--concurrency', '1', '-c', file],
    bare: (place) => adapted('envoy', place).replace(', timeout: 0s', '').replace(/use_remote_address: true\n\s+skip_xff_append: true/, '')
      .replace(/request_headers_to_add:[\s\S]*?append_action: \S+/, '')
  }
};

/** Where a program is, if it is here at all. */
export function found(program) {
  const folders = [...process.env.PATH.split(':'), '/usr/sbin', '/usr/local/sbin'];
  return folders.map((folder) => join(folder, program)).find((path) => existsSync(path));
}

/** What it calls itself. */
export function version({ program, version }) {
  const say = execFileSync('/bin/sh', ['-c', '"$0" "$@" 2>&1', found(program), ...version], { encoding: 'utf8' });
  return say.trim().split('\n')[0];
}

/** The recipe with what is replaced; an error if it does not hold what is to be replaced. */
function adapted(name, place) {
  let text = readFileSync(join(recipes, fronts[name].recipe), 'utf8');
  for (const [from, to, times] of fronts[name].replaced(place)) {
    const seen = text.split(from).length - 1;
    if (seen !== times) throw new Error(`${fronts[name].recipe} has \`${from}\` ${seen} times, expected ${times}`);
    text = text.replaceAll(from, to);
  }
  return text;
}

/** A certificate for localhost that nobody has signed, in the forms that programs want it in. */
export function makeCertificate() {
  const dir = mkdtempSync(join(out, 'certificate-'));
  const certificate = { chain: join(dir, 'fullchain.pem'), key: join(dir, 'privkey.pem'), both: join(dir, 'both.pem') };
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=localhost',
    '-addext', 'subjectAltName=DNS:localhost', '-keyout', certificate.key, '-out', certificate.chain], { stdio: 'pipe' });
  writeFileSync(certificate.both, readFileSync(certificate.chain, 'utf8') + readFileSync(certificate.key, 'utf8'));
  return certificate;
}

/** A port of 127.0.0.1 that nobody has at the moment. */
export async function freePort() {
  const server = createServer();
  await new Promise((done, fail) => server.on('error', fail).listen(0, '127.0.0.1', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** Starts a front on `port` before the proxy at port `upstream`; `bare` without what its recipe adds. Ready when it returns. */
export async function startFront(name, { port, upstream, certificate, bare = false }) {
  const front = fronts[name];
  const dir = mkdtempSync(join(out, `${name}-`));
  const place = { port, upstream, certificate };
  const file = join(dir, front.recipe);
  writeFileSync(file, bare ? front.bare(place) : adapted(name, place));
  mkdirSync(join(dir, 'logs'), { recursive: true });
  const log = `${name}${bare ? '-bare' : ''}`;
  const child = start(log, found(front.program), front.around({ ...place, dir, file }));
  let gone;
  child.ended.then((code) => { gone = code ?? 'an error'; });
  for (const end = Date.now() + 20_000; !(await answers(port)); await new Promise((done) => setTimeout(done, 50))) {
    if (gone !== undefined) throw new Error(`${name} ended with ${gone}: ${readFileSync(join(out, `${log}.log`), 'utf8').slice(-1500)}`);
    if (Date.now() > end) throw new Error(`${name} takes no connections after 20 s`);
  }
  return { stop: () => stop(child) };
}

/** Whether TLS works there: some take connections before they have their certificate. */
const answers = (port) => new Promise((done) => {
  const socket = connect({ port, host: '127.0.0.1', servername: 'localhost', rejectUnauthorized: false }, () => { socket.destroy(); done(true); });
  socket.on('error', () => done(false));
});
