import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { customResourceDefinition, KINDS } from './src/crd/index.ts';
import { GROUP, RESOURCES } from './src/index.ts';

/** `npm run generate`: crds/ from contract/, for kubectl and, guarded by values, for the operator's chart. */
const folder = fileURLToPath(new URL('../crds/', import.meta.url));
mkdirSync(folder, { recursive: true });
for (const definition of KINDS) {
  const yaml = stringify(customResourceDefinition(definition), {
    aliasDuplicateObjects: false,
    lineWidth: 0,
  });
  const file = `${folder}${GROUP}_${RESOURCES[definition.kind].plural}.yaml`;
  writeFileSync(file, `# Generated from contract/src by "npm run generate". Do not edit.\n${yaml}`);
  process.stdout.write(`${file}\n`);
}
