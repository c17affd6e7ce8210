import type { BlueprintObject, InstanceObject, LiveObject, PlannedChange } from '@felucca/contract';
import { expect, test } from 'vitest';
import { paintFor } from '../show/paint.ts';
import { child, healthy, object } from '../why/facts-fixture.ts';
import type { Context } from './context.ts';
import { previewAnswer, previewCommand } from './preview.ts';

const blueprint = (version: string, data: string): BlueprintObject => ({
  apiVersion: 'felucca.dev/v1alpha1',
  kind: 'Blueprint',
  metadata: { name: `demo-${version.replaceAll('.', '-')}` },
  spec: {
    name: 'demo',
    version,
    parameters: { type: 'object', properties: { size: { type: 'integer', maximum: 3 } } },
    nodes: [{ id: 'config', manifest: { apiVersion: 'v1', kind: 'ConfigMap', data: { text: data } } }],
  },
});

/** An Instance of demo 1.0.0, with a ConfigMap and a child of a version before it. */
async function preview(blueprints: BlueprintObject[], parameters: Record<string, unknown> = {}) {
  const { instance } = healthy();
  instance.spec = { blueprintRef: { name: 'demo', version: '1.0.0' }, parameters };
  const { entry } = child('config', 'ConfigMap');
  instance.status!.inventory = [entry, { ...child('old', 'Service').entry }];
  const config = object('ConfigMap', 'db-config', { uid: 'uid-config', data: { text: 'a' } });
  config.metadata.labels = { 'felucca.dev/instance-uid': 'i' };
  const get = async (
    kind: string,
    _: unknown,
    name: string,
  ): Promise<LiveObject | InstanceObject | undefined> =>
    kind === 'Blueprint'
      ? (blueprints.find(({ metadata }) => metadata.name === name) as unknown as LiveObject)
      : kind === 'Instance'
        ? instance
        : kind === 'ConfigMap'
          ? config
          : undefined;
  let shown = '';
  const context = {
    kube: { get },
    terminal: { out: (text: string) => (shown += text) },
    paint: paintFor(false),
    namespace: 'tenant-acme',
    format: 'json',
  } as unknown as Context;
  const exitCode = await previewCommand(context, 'db', { blueprintVersion: '1.1.0' });
  return { exitCode, ...(JSON.parse(shown) as { children: unknown[] }) };
}

test.each<[string, BlueprintObject[], Record<string, unknown>?]>([
  ['is gone', []],
  ['is wrong', [blueprint('1.0.0', '${nobody.knows}')]],
  [
    'refuses the parameters',
    [
      {
        ...blueprint('1.0.0', 'a'),
        spec: { ...blueprint('1.0.0', 'a').spec!, parameters: {} },
      } as BlueprintObject,
    ],
    { size: 2 },
  ],
])('a preview shows the way out when the present Blueprint %s', async (_, present, parameters) => {
  expect(await preview([...present, blueprint('1.1.0', 'b')], parameters)).toMatchObject({
    exitCode: 1,
    children: [
      { child: 'ConfigMap/db-config', effect: 'inPlace', fields: expect.arrayContaining(['/data/text']) },
      { child: 'Service/db-old', effect: 'remove' },
    ],
  });
});

test.each([
  [undefined, /^- Service\/x-old +is removed$/m],
  ['it cannot change', /^- Service\/x-old +is removed once nothing is refused$/m],
])('a child goes when all others are as they should be: refusal %s', (refusal, says) => {
  const none = { fields: [], unknown: [] };
  const children: PlannedChange[] = [
    { child: 'Service/x', node: 'x', effect: 'replace', ...none, ...(refusal ? { refusal } : {}) },
    { child: 'Service/x-old', node: 'old', effect: 'remove', ...none },
  ];
  expect(previewAnswer(healthy().instance, children, 'it', paintFor(false)).text(false)).toMatch(says);
});
