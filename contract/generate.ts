import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { customResourceDefinition, KINDS } from './src/crd/index.ts';
import { GROUP, RESOURCES } from './src/index.ts';

/** `npm run generate`: crds/ from contract/, for kubectl and, guarded by values, for the operator's chart. */
const HEADER = '# Generated from contract/src by "npm run generate". Do not edit.\n';
for (const definition of KINDS) {
  const yaml = stringify(customResourceDefinition(definition), {
    aliasDuplicateObjects: false,
    lineWidth: 0,
  });
  const file = `${GROUP}_${RESOURCES[definition.kind].plural}.yaml`;
  write(`../crds/${file}`, `${HEADER}${yaml}`);
  write(`../helm/felucca-operator/templates/crds/${file}`, chartTemplate(yaml));
}

/** Helm never upgrades what is in a chart's crds/ folder; as templates they are, and `keep` survives uninstalling. */
function chartTemplate(yaml: string): string {
  const literal = yaml.replaceAll('{{', '{{ "{{" }}');
  const name = /^metadata:\n {2}name: .*\n/m;
  if (!name.test(literal))
    throw new Error('a CustomResourceDefinition without a name has no place in the chart');
  const metadata = `  labels:
    {{- include "felucca-operator.labels" . | nindent 4 }}
  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
`;
  const body = literal.replace(name, (lines) => lines + metadata);
  return `${HEADER}{{- if .Values.crds.enabled }}\n${body}{{- end }}\n`;
}

function write(path: string, content: string): void {
  const file = fileURLToPath(new URL(path, import.meta.url));
  mkdirSync(fileURLToPath(new URL('.', new URL(path, import.meta.url))), { recursive: true });
  writeFileSync(file, content);
  process.stdout.write(`${file}\n`);
}
