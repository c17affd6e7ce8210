import {
  type BlueprintObject,
  FIELD_MANAGERS,
  type InstanceObject,
  inventoryOf,
  LABELS,
  type LiveObject,
} from '@felucca/contract';
import { describe, expect, test } from 'vitest';
import { isProduct, makeProduct } from '../facts/product.ts';
import type { Seen } from '../kube/errors.ts';
import { differences } from './differences.ts';

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
      labels: { [LABELS.instanceUid]: 'i' },
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
    expect(found['ConfigMap/x-late']?.note).toMatch(/service/);
  });
});
