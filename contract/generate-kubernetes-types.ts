import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { startCluster } from '@felucca/dev';
import { kubernetesTypes, OPENAPI_PATHS } from './src/index.ts';

/** `npm run generate:kubernetes`: what the pinned Kubernetes says about the kinds of children. After bumping it. */
const cluster = await startCluster({ name: `generate-${process.pid}`, provider: 'bare' });
try {
  const texts = await Promise.all(
    OPENAPI_PATHS.map((path) => cluster.kubectl(['get', '--raw', `/openapi/v3/${path}`])),
  );
  const types = kubernetesTypes(texts.map((text) => JSON.parse(text) as unknown));
  const file = fileURLToPath(new URL('src/blueprint/kubernetes-types.json', import.meta.url));
  writeFileSync(file, `${JSON.stringify(types, null, 2)}\n`);
  process.stdout.write(`${file}\n`);
} finally {
  await cluster.stop();
}
