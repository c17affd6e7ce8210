import { expect, test } from 'vitest';
import { child, condition, healthy, object, warning } from '../why/facts-fixture.ts';
import { branchOf } from './branch.ts';
import type { InstanceFacts } from './instance.ts';

type Modifier = (facts: InstanceFacts) => void;
const web = (...modifiers: Modifier[]) => branchOf(healthy(...modifiers)).branches[0];
const told =
  (...conditions: Parameters<typeof condition>[]): Modifier =>
  ({ instance }) =>
    void instance.status!.conditions!.push(...conditions.map((args) => condition(...args)));
const reported: Modifier = ({ instance }) => {
  const values = { expected: '2', actual: '0', manager: 'kubectl', detectedAt: '2026-01-01T00:00:00Z' };
  instance.status!.drift = [
    { object: 'Deployment/db-web', path: '/spec/replicas', action: 'reported', ...values },
  ];
};

test('a drift counts as long as the operator sees one, and not for as long as it is recorded', () => {
  expect(web(reported, told(['DriftDetected', 'True', 'DriftReported']))?.drift).toEqual(['/spec/replicas']);
  expect(web(reported, told(['DriftDetected', 'False', 'DriftCorrected']))?.drift).toEqual([]);
});

test('each child that the API server does not take is told with its words', () => {
  const message = 'Deployment/db-web was refused: quota; used up; Service/db-web was refused: bad; port';
  const facts = healthy(
    told(['Ready', 'False', 'ApplyRejected', message], ['Stalled', 'True', 'ApplyRejected', message]),
  );
  facts.instance.status!.conditions!.shift();
  const state = { state: 'progressing', message: 'it does not exist yet' } as const;
  facts.children = ['Deployment', 'Service', 'ConfigMap'].map((kind) =>
    child('web', kind, { live: { value: undefined }, state }),
  );
  const tree = branchOf(facts);
  expect(tree).toMatchObject({ state: 'failed', message: 'postgres 1.0.0: ApplyRejected' });
  expect(tree.branches).toMatchObject([
    { state: 'failed', message: 'refused: quota; used up' },
    { state: 'failed', message: 'refused: bad; port' },
    { state: 'progressing', message: 'it does not exist yet' },
  ]);
});

test('what goes is deleting: an Instance, a child, and a volume that is Bound all the same', () => {
  const deletionTimestamp = '2026-01-01T00:59:00Z';
  const going = (kind: string, name: string, more = {}) =>
    object(kind, name, { ...more, metadata: { name, deletionTimestamp } });
  const facts = healthy(({ instance }) => (instance.metadata.deletionTimestamp = deletionTimestamp));
  facts.children = [
    child('web', 'StatefulSet', {
      live: { value: going('StatefulSet', 'db-web') },
      state: { state: 'progressing', message: 'it is being deleted' },
      claims: [going('PersistentVolumeClaim', 'data-db-web-0', { status: { phase: 'Bound' } })],
    }),
  ];
  expect(branchOf(facts)).toMatchObject({
    state: 'deleting',
    branches: [{ state: 'deleting', branches: [{ state: 'deleting', message: 'Terminating' }] }],
  });
});

test('a pod that does not start is told with the newest warning about it', () => {
  const status = {
    phase: 'Pending',
    containerStatuses: [{ state: { waiting: { reason: 'ContainerCreating' } } }],
  };
  const pod = object('Pod', 'db-web-1', { spec: { containers: [{}] }, status });
  const facts = healthy();
  facts.children = [child('web', 'Deployment', { pods: [pod] })];
  const events = [
    warning(pod, 'FailedMount', 'secret "x" not found'),
    warning(object('Pod', 'other'), 'No', 'no'),
  ];
  expect(branchOf(facts, events).branches[0]?.branches).toMatchObject([
    { state: 'progressing', message: '0/1 ContainerCreating: FailedMount: secret "x" not found' },
  ]);
});

test.each([
  ['ContainerCreating', 'progressing'],
  ['ErrImagePull', 'failed'],
])('a pod whose container waits for %s is %s', (reason, state) => {
  const status = { phase: 'Pending', containerStatuses: [{ state: { waiting: { reason } } }] };
  const pods = [object('Pod', 'db-web-1', { spec: { containers: [{}] }, status })];
  const branch = web((facts) => (facts.children = [child('web', 'Deployment', { pods })]));
  expect(branch?.branches).toMatchObject([{ state, message: `0/1 ${reason}` }]);
});
