import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { repository } from '../images/bundle.ts';
import type { Api, Json } from './api.ts';

const examples = ['blueprint-web.yaml', 'blueprint-postgres.yaml'];

/** Publishes both example Blueprints; publishing the same content again changes nothing. Returns name and version. */
export async function publishExamples(api: Api): Promise<string[]> {
  const published: string[] = [];
  for (const file of examples) {
    const manifest = parse(readFileSync(join(repository, 'crds/examples/valid', file), 'utf8')) as Json;
    const { name, version } = manifest.spec;
    const reply = await api.call('POST', '/v1/blueprints', manifest.spec);
    if (reply.status === 409) {
      // A kept database holds the version as it was; versions are immutable, so the file must get a new one.
      published.push(`${name} ${version} (as published before; the file has changed since)`);
    } else if (reply.status >= 300) {
      throw new Error(
        `${file}: ${reply.body?.detail ?? reply.status} ${JSON.stringify(reply.body?.errors ?? '')}`,
      );
    } else {
      published.push(`${name} ${version}`);
    }
  }
  return published;
}
