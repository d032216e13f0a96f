// What every program here does with its library: calls `alpha__word`, asks for a restart of the proxy, and calls again,
// twice if need be. The words are printed; run.mjs looks for them.
const PATIENCE = 15_000;
const late = () => new Promise((_, failed) => setTimeout(() => failed(new Error('no answer in time')), PATIENCE).unref());

/** `call(seed)` gives what the library gives for the call; `end` ends what was started. */
export async function steps(call, end) {
  console.log(JSON.stringify(await Promise.race([call('before'), late()])));
  await fetch(process.env.RESTART, { method: 'POST' });
  for (const seed of ['after', 'once more']) {
    try {
      const answer = JSON.stringify(await Promise.race([call(seed), late()]));
      console.log(answer);
      if (answer.includes('The word is')) break;
    } catch (error) {
      console.log(`${seed}: ${error.message}`);
    }
  }
  await end?.();
  process.exit(0);
}
/** A package out of the host's own folder. */
export const load = (name) => import(new URL(`file://${process.env.HOST_FOLDER}/node_modules/${name}`).href);
export const [url, transport] = process.argv.slice(2);
