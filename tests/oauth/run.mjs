// run.mjs BIN   runs the parts one after the other; started by run.sh, which installs everything into $OAUTH_HOME
//
//   PARTS  which parts: npm, python, matrix, doctor (default: all)
//   ONLY   run only the groups of checks whose line contains this text
//   OUT    keep configurations and logs here (default: a temporary folder, removed when all is well)
import { finish } from './lib.mjs';

const parts = { npm: './npm.mjs', python: './python.mjs', matrix: './matrix.mjs', doctor: './doctor.mjs' };
for (const part of (process.env.PARTS ?? Object.keys(parts).join(' ')).split(' ')) {
  await (await import(parts[part])).default();
}
await finish();
