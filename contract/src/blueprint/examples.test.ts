import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import type { BlueprintSpec } from '../resources/blueprint.ts';
import type { BlueprintObject, InstanceObject } from '../resources/object.ts';
import { checkBlueprint } from './check-types.ts';
import { applyDefaults, checkParameters } from './parameters.ts';
import { checkItems } from './planned-children.ts';

const folder = join(import.meta.dirname, '../../../crds/examples');
const filesOf = (name: string, prefix = ''): [file: string, text: string][] =>
  readdirSync(join(folder, name))
    .filter((file) => file.startsWith(prefix))
    .map((file) => [file, readFileSync(join(folder, name, file), 'utf8')]);
const blueprints = filesOf('valid', 'blueprint-').map(([, text]) => parse(text) as BlueprintObject);

test.each(filesOf('valid', 'blueprint-'))('%s may be published', (_, text) => {
  expect(checkBlueprint((parse(text) as BlueprintObject).spec)).toEqual([]);
});

test.each(filesOf('must-not-publish'))('%s is refused for what its first line says', (_, text) => {
  const reason = /^# refused: (.+)\n/.exec(text)?.[1];
  const told = checkBlueprint(parse(text)).map(({ path, message }) => `${path} ${message}`);
  expect(told).toContain(reason);
});

test.each(filesOf('valid', 'instance-'))('%s fits its Blueprint', (_, text) => {
  const { metadata, spec } = parse(text) as InstanceObject;
  const { name } = spec?.blueprintRef ?? {};
  const of = blueprints.find((blueprint) => blueprint.spec?.name === name)?.spec as BlueprintSpec;
  const parameters = applyDefaults(of, spec?.parameters);
  expect(checkParameters(of, parameters)).toEqual([]);
  expect(checkItems(of, parameters, { name: metadata.name, namespace: '', organization: '' })).toEqual([]);
});

test('each Blueprint has an Instance to try it with', () => {
  const ordered = filesOf('valid', 'instance-').map(
    ([, text]) => (parse(text) as InstanceObject).spec?.blueprintRef.name,
  );
  expect(ordered.sort()).toEqual(blueprints.map(({ spec }) => spec?.name).sort());
});
