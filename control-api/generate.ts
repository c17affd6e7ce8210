import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import pino from 'pino';
import { Registry } from 'prom-client';
import { buildApp } from './src/app.ts';
import type { Services } from './src/resources/services.ts';

/** `npm run generate`: openapi.json from the routes. No database is opened: describing is not serving. */
const services = { db: {}, wake: { committed: () => undefined } } as unknown as Services;
const app = await buildApp({
  services,
  registry: new Registry(),
  logger: pino({ level: 'silent' }),
  draining: () => false,
});
await app.ready();
const path = fileURLToPath(new URL('openapi.json', import.meta.url));
writeFileSync(path, `${JSON.stringify(app.swagger(), null, 2)}\n`);
process.stdout.write(`${path}\n`);
await app.close();
