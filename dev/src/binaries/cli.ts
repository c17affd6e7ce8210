import { fetchAll } from './fetch-all.ts';

const usage = `usage: node dev/src/binaries/cli.ts fetch

Puts every program the local stack can use on this machine into the cache, with progress.
Set FELUCCA_CACHE to keep it elsewhere than ~/.cache/felucca.
`;

if (process.argv[2] === 'fetch') {
  const started = performance.now();
  await fetchAll((line) => {
    const seconds = Math.round((performance.now() - started) / 1000);
    process.stdout.write(`[${String(seconds).padStart(4)} s] ${line}\n`);
  });
} else {
  process.stderr.write(usage);
  process.exitCode = 2;
}
