import { availableTools } from './available.ts';
import { resolveNodeTools } from './node-tools.ts';
import { resolveBinary } from './resolve.ts';

const usage = `usage: node dev/src/binaries/cli.ts fetch

Puts every program the local stack can use on this machine into the cache, with progress.
Set FELUCCA_CACHE to keep it elsewhere than ~/.cache/felucca.
`;

async function fetchAll(): Promise<void> {
  const started = performance.now();
  const say = (line: string) => {
    const seconds = Math.round((performance.now() - started) / 1000);
    process.stdout.write(`[${String(seconds).padStart(4)} s] ${line}\n`);
  };
  const { binaries, nodes } = availableTools();
  for (const name of binaries) say(`${name}: ${await resolveBinary(name, say)}`);
  if (nodes) say(`runc: ${(await resolveNodeTools(say)).runc}`);
}

if (process.argv[2] === 'fetch') {
  await fetchAll();
} else {
  process.stderr.write(usage);
  process.exitCode = 2;
}
