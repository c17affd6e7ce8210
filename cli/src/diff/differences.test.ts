import {
  type BlueprintObject,
  desiredChild,
  FIELD_MANAGERS,
  type InstanceObject,
  inventoryOf,
  LABELS,
  type LiveObject,
} from '@felucca/contract';
import { describe, expect, test } from 'vitest';
import { diffAnswer } from '../commands/diff.ts';
import { isProduct, makeProduct } from '../facts/product.ts';
import type { Seen } from '../kube/errors.ts';
import { paintFor } from '../show/paint.ts';
import { type ChildDifference, differences, isDifference, leaving } from './differences.ts';

const blueprint: BlueprintObject = {
  apiVersion: 'felucca.dev/v1alpha1',
  kind: 'Blueprint',
  metadata: { name: 'demo-1-0-0' },
  spec: {
    name: 'demo',
    version: '1.0.0',
    parameters: { type: 'object', properties: { text: { type: 'string', default: 'ahoy' } } },
    nodes: [
      { id: 'secret', manifest: { apiVersion: 'v1', kind: 'Secret', stringData: { key: '${params.text}' } } },
      {
        id: 'config',
        drift: { report: ['/data/text'], ignore: ['/data/free'] },
        manifest: {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          data: { text: '${params.text}', free: 'a', more: 'b' },
        },
      },
      {
        id: 'late',
        manifest: { apiVersion: 'v1', kind: 'ConfigMap', data: { ip: '${service.spec.clusterIP}' } },
      },
      { id: 'service', manifest: { apiVersion: 'v1', kind: 'Service', spec: { ports: [{ port: 80 }] } } },
    ],
  },
};
const instance: InstanceObject = {
  apiVersion: 'felucca.dev/v1alpha1',
  kind: 'Instance',
  metadata: { name: 'x', namespace: 'tenant-a', uid: 'i' },
  spec: { blueprintRef: { name: 'demo', version: '1.0.0' } },
};
const made = makeProduct(blueprint, instance);
if (!isProduct(made)) throw new Error(JSON.stringify(made.problems));
const product = made;

const [, plannedConfig] = product.planned;
const desiredConfig = desiredChild(
  {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'x-config', namespace: 'tenant-a' },
    data: { text: 'ahoy', free: 'a', more: 'b' },
  } as never,
  plannedConfig!,
  instance,
).object;

const between = (live: Record<string, Seen<LiveObject | undefined>>, of = instance) =>
  Object.fromEntries(
    differences(of, product, inventoryOf(of), new Map(Object.entries(live))).map((child) => [
      child.object,
      child,
    ]),
  );
/** As the operator applied it: whatever differs was changed by kubectl since. */
const live = (kind: string, name: string, body: object): { value: LiveObject } => ({
  value: {
    apiVersion: 'v1',
    kind,
    ...body,
    metadata: {
      name,
      uid: name,
      labels: {
        [LABELS.managedBy]: 'felucca',
        [LABELS.instance]: 'x',
        [LABELS.node]: name.slice(2),
        [LABELS.instanceUid]: 'i',
      },
      managedFields: [
        {
          manager: FIELD_MANAGERS.reconciler,
          operation: 'Apply',
          fieldsV1: { 'f:metadata': { 'f:labels': {} } },
        },
        {
          manager: 'kubectl-edit',
          operation: 'Update',
          time: '2026-01-01T00:00:00Z',
          fieldsV1: { 'f:data': { 'f:text': {}, 'f:more': {}, 'f:key': {} } },
        },
      ],
    },
  },
});
const dataOf = (fields: { path: string }[] | undefined) =>
  fields?.filter(({ path }) => path.startsWith('/data'));

describe('what counts as a difference', () => {
  const same = { text: 'ahoy', free: 'a', more: 'b' };
  const answer = (config: Seen<LiveObject | undefined>, ...more: ChildDifference[]) => {
    const { 'ConfigMap/x-config': found } = between({ 'x-config': config });
    const children = [found!, ...more];
    const [first] = diffAnswer(instance, children, paintFor(false), new Date(0)).text(false).split('\n');
    return { state: found!.state, isDifferent: children.some(isDifference), first };
  };
  const hidden: ChildDifference = { object: 'Secret/x', state: 'hidden', note: '', fields: [] };
  const labelled = (data: object) => {
    const made = live('ConfigMap', 'x-config', { data });
    return { value: { ...made.value, metadata: { ...desiredConfig.metadata, ...managed(made.value) } } };
  };
  const managed = ({ metadata: { managedFields } }: LiveObject) => (managedFields ? { managedFields } : {});

  test.each<[string, object, ChildDifference[], ReturnType<typeof answer>]>([
    [
      'nothing differs',
      same,
      [],
      { state: 'same', isDifferent: false, first: 'Instance tenant-a/x: 1 child is as desired' },
    ],
    [
      'a field differs that its Blueprint leaves alone',
      { ...same, free: 'other' },
      [],
      {
        state: 'left alone',
        isDifferent: false,
        first: 'Instance tenant-a/x: 1 child is as desired; of 1 the Blueprint leaves alone what differs',
      },
    ],
    [
      'a field differs that is set back, and one that is left alone',
      { ...same, free: 'other', more: 'c' },
      [],
      {
        state: 'differs',
        isDifferent: true,
        first: 'Instance tenant-a/x: 1 of 1 child is not as desired',
      },
    ],
    [
      'a field differs that is reported only',
      { ...same, text: 'mutiny' },
      [hidden],
      {
        state: 'differs',
        isDifferent: true,
        first: 'Instance tenant-a/x: 1 of 2 children is not as desired; 1 is hidden from you',
      },
    ],
    [
      'a child is hidden, and nothing else differs',
      same,
      [hidden],
      {
        state: 'same',
        isDifferent: false,
        first: 'Instance tenant-a/x: what you may see is as desired; 1 of 2 children is hidden from you',
      },
    ],
  ])('when %s', (_, data, more, expected) => {
    expect(answer(labelled(data), ...more)).toEqual(expected);
  });
});

describe('a change that is refused', () => {
  const sealed = (data: object) => {
    const { value } = live('ConfigMap', 'x-config', { data, immutable: true });
    return {
      'x-config': { value: { ...value, metadata: { ...value.metadata, ...desiredConfig.metadata } } },
    };
  };
  const text = (child: ChildDifference) =>
    diffAnswer(instance, [child], paintFor(false), new Date(0)).text(false);

  test('is told as the status tells it, and nothing is said to be set back', () => {
    const { 'ConfigMap/x-config': config } = between(sealed({ text: 'ahoy', free: 'a', more: 'c' }));
    expect(config?.refusal).toMatch(
      /^ConfigMap\/x-config: \/data\/more cannot change on an existing ConfigMap, and the Blueprint does not let it be made anew; set the old value again/,
    );
    expect(text(config!)).toMatch(/and the Blueprint does not let it be made anew/);
    expect(text(config!)).toMatch(/changed by kubectl-edit .*; it stays as it is$/m);
  });

  test('is none where only fields differ that are left alone or reported', () => {
    const { 'ConfigMap/x-config': config } = between(sealed({ text: 'mutiny', free: 'b', more: 'b' }));
    expect(config?.refusal).toBeUndefined();
  });

  test('is told of a child that a former Instance of the name has left, and that is no stranger', () => {
    const left = sealed({ text: 'ahoy', free: 'a', more: 'c' });
    const { annotations: _, ownerReferences: __, ...metadata } = left['x-config'].value.metadata;
    metadata.labels = { ...metadata.labels, [LABELS.instanceUid]: 'former' };
    left['x-config'].value.metadata = metadata;
    const { 'ConfigMap/x-config': config } = between(left);
    expect(config).toMatchObject({
      state: 'differs',
      refusal: expect.stringMatching(/\/data\/more cannot change/),
    });
  });

  test('is known to the operator alone where only the API server knows', () => {
    const message =
      'ConfigMap/x-config: the API server says "field is immutable", and the Blueprint does not';
    const stalled = {
      ...instance,
      status: {
        observedGeneration: 1,
        conditions: [
          { type: 'Stalled', status: 'True', reason: 'ReplaceRefused', message, lastTransitionTime: '' },
        ],
      },
    } as InstanceObject;
    const changed = live('ConfigMap', 'x-config', { data: { text: 'ahoy', free: 'a', more: 'c' } });
    expect(between({ 'x-config': changed }, stalled)['ConfigMap/x-config']?.refusal).toBe(message);
  });
});

describe('a field that is to be set back', () => {
  const data = { text: 'ahoy', free: 'a', more: 'c' };
  const values = { expected: 'b', actual: 'c', manager: 'kubectl', detectedAt: '2026-01-01T00:00:00Z' };
  const fought = {
    ...instance,
    status: {
      observedGeneration: 1,
      conditions: [
        {
          type: 'DriftDetected',
          status: 'True',
          reason: 'RepairsPaused',
          message: '',
          lastTransitionTime: '',
        },
      ],
      drift: [{ object: 'ConfigMap/x-config', path: '/data/more', action: 'reported', ...values }],
    },
  } as InstanceObject;
  test.each([
    ['is', instance, true, /it is set back$/m],
    ['waits while repairs are paused', fought, true, /it is set back within a minute: repairs are paused$/m],
    ['waits for an operator', fought, false, /it is set back once an operator leads$/m],
  ])('%s', (_, of, isLed, says) => {
    const { 'ConfigMap/x-config': config } = between(
      { 'x-config': live('ConfigMap', 'x-config', { data }) },
      of,
    );
    expect(diffAnswer(of, [config!], paintFor(false), new Date(0), isLed).text(false)).toMatch(says);
  });
});

test('of an Instance on its way out nothing is a difference', () => {
  const entry = (kind: string, name: string) => ({
    node: name,
    apiVersion: 'v1',
    kind,
    name,
    wave: 0,
    onDelete: 'Delete' as const,
  });
  const goes: InstanceObject = {
    ...instance,
    metadata: { ...instance.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' },
    status: {
      observedGeneration: 1,
      inventory: [entry('Service', 'x-service'), entry('ConfigMap', 'x-config')],
    },
  };
  const children = leaving(
    goes,
    inventoryOf(goes),
    new Map([['x-config', live('ConfigMap', 'x-config', {})]]),
  );
  expect(children.some(isDifference)).toBe(false);
  expect(diffAnswer(goes, children, paintFor(false), new Date(0)).text(false)).toBe(
    `Instance tenant-a/x is being deleted: nothing is desired of its children

- Service/x-service  it is gone
- ConfigMap/x-config  it is deleted when those before it are gone
`,
  );
});

describe('desired against live', () => {
  test('tells each owned field that differs, who changed it, and what is done about it', () => {
    const data = { text: 'mutiny', free: 'other', more: 'c', foreign: 'x' };
    const { 'ConfigMap/x-config': config } = between({ 'x-config': live('ConfigMap', 'x-config', { data }) });
    expect(config?.state).toBe('differs');
    expect(dataOf(config?.fields)).toEqual([
      {
        path: '/data/text',
        expected: 'ahoy',
        actual: 'mutiny',
        manager: 'kubectl-edit',
        at: '2026-01-01T00:00:00Z',
        policy: 'report',
      },
      { path: '/data/free', expected: 'a', actual: 'other', policy: 'ignore' },
      {
        path: '/data/more',
        expected: 'b',
        actual: 'c',
        manager: 'kubectl-edit',
        at: '2026-01-01T00:00:00Z',
        policy: 'correct',
      },
    ]);
  });

  test('never shows what a Secret holds, only that it differs', () => {
    const data = { key: Buffer.from('hunter2').toString('base64') };
    const { 'Secret/x-secret': secret } = between({ 'x-secret': live('Secret', 'x-secret', { data }) });
    expect(dataOf(secret?.fields)).toMatchObject([
      {
        path: '/data/key',
        expected: '(secret value)',
        actual: '(another secret value)',
        manager: 'kubectl-edit',
      },
    ]);
    expect(JSON.stringify(secret)).not.toMatch(/hunter2|YWhveQ/);
  });

  test('names what is missing, foreign, hidden, waiting for a field, or no longer wanted', () => {
    const stranger = live('ConfigMap', 'x-config', {});
    stranger.value.metadata.labels = {};
    const found = between(
      { 'x-config': stranger, 'x-secret': { hidden: 'no' } },
      {
        ...instance,
        status: {
          observedGeneration: 1,
          inventory: [
            { node: 'old', apiVersion: 'v1', kind: 'Service', name: 'x-old', wave: 0, onDelete: 'Delete' },
          ],
        },
      },
    );
    expect(Object.fromEntries(Object.entries(found).map(([name, { state }]) => [name, state]))).toEqual({
      'Secret/x-secret': 'hidden',
      'ConfigMap/x-config': 'foreign',
      'Service/x-service': 'missing',
      'ConfigMap/x-late': 'waiting',
      'Service/x-old': 'left over',
    });
    expect(found['ConfigMap/x-config']?.note).toMatch(
      /^another object has the name: it does not carry the label/,
    );
    expect(found['ConfigMap/x-late']?.note).toMatch(/service/);
  });
});
