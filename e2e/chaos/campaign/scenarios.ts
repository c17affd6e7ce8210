import type { KubeObject } from '../rig.ts';
import type { Actor } from './actor.ts';
import { webAs } from './blueprints.ts';

/** What somebody does, and how it shows that the operator is done with it. */
export interface Step {
  readonly what: string;
  act(actor: Actor): Promise<void>;
  isDone(actor: Actor): boolean;
}

export interface Scenario {
  readonly name: string;
  /** Before the faults. */
  readonly setup: readonly Step[];
  readonly steps: readonly Step[];
  /** Its steps overtake the operator, so which children ever lived depends on who was faster. */
  readonly isRace?: boolean;
}

const step = (what: string, act: Step['act'], isDone: Step['isDone']): Step => ({ what, act, isDone });
const deployment = (actor: Actor): KubeObject => actor.child('apps/v1', 'Deployment', 'web');
const service = (actor: Actor): KubeObject => actor.child('v1', 'Service', 'service');
const isUp = (actor: Actor): boolean => actor.isReady(actor.instance);

const joins = step(
  'a tenant joins',
  (actor) => actor.joins(),
  (actor) => actor.isReady(actor.tenant),
);
const orders = (blueprint: string, parameters = {}, more = {}): Step =>
  step(`an Instance of ${blueprint} is ordered`, (actor) => actor.orders(blueprint, parameters, more), isUp);
const changes = (what: string, spec: object, isDone: Step['isDone'] = isUp): Step =>
  step(what, (actor) => actor.change(spec), isDone);
const leaves = step(
  'the Instance is deleted',
  (actor) => actor.delete(actor.instance),
  (actor) => actor.isGone(actor.instance),
);
const replicasOf = (actor: Actor): number | undefined => actor.live(deployment(actor))?.spec.replicas;
const runs =
  (replicas: number): Step['isDone'] =>
  (actor) =>
    isUp(actor) &&
    replicasOf(actor) === replicas &&
    (actor.live(deployment(actor))?.status?.readyReplicas ?? 0) === replicas;

const web = 'web@1.0.0';
const withWeb = [joins, orders(web)];
const withStore = (more = {}): Step[] => [joins, orders('store@1.0.0', {}, more)];
const isUpWithout =
  (...kinds: [string, string, string][]): Step['isDone'] =>
  (actor) =>
    isUp(actor) &&
    kinds.every(([apiVersion, kind, node]) => actor.isGone(actor.child(apiVersion, kind, node)));

/** Somebody takes an object away, and another one comes under the same name. */
function takesAway(what: string, find: (actor: Actor) => KubeObject, isBack: Step['isDone'] = isUp): Step {
  const before = new WeakMap<Actor, string | undefined>();
  return step(
    what,
    async (actor) => {
      before.set(actor, actor.live(find(actor))?.metadata.uid);
      await actor.delete(find(actor));
    },
    (actor) => {
      const live = actor.live(find(actor));
      return live !== undefined && live.metadata.uid !== before.get(actor) && isBack(actor);
    },
  );
}

export const SCENARIOS: readonly Scenario[] = [
  { name: 'tenant-joins', setup: [], steps: [joins] },
  {
    name: 'tenant-changes',
    setup: [joins],
    steps: [
      step(
        'its quota grows',
        (actor) => actor.joins({ quota: { pods: 7 } }),
        (actor) =>
          actor.isReady(actor.tenant) &&
          actor.live(actor.object('v1', 'ResourceQuota', 'felucca'))?.spec.hard['pods'] === '7',
      ),
    ],
  },
  {
    name: 'tenant-leaves',
    setup: withWeb,
    steps: [
      step(
        'the tenant is deleted while an Instance lives',
        (actor) => actor.delete(actor.tenant),
        (actor) => actor.says(actor.tenant, 'DeletionBlocked', 'True'),
      ),
      step(
        'the Instance goes',
        (actor) => actor.delete(actor.instance),
        (actor) =>
          actor.isGone(actor.tenant) && actor.isGone(actor.object('v1', 'Namespace', actor.namespace)),
      ),
    ],
  },
  {
    name: 'order-before-blueprint',
    setup: [joins],
    steps: [
      step(
        'an Instance of a Blueprint that is not there is ordered',
        (actor) => actor.orders(`${actor.id}@1.0.0`),
        (actor) => actor.says(actor.instance, 'Ready', 'False'),
      ),
      step('the Blueprint is published', (actor) => actor.apply(webAs(actor.id)), isUp),
    ],
  },
  { name: 'order', setup: [joins], steps: [orders(web)] },
  {
    name: 'order-at-once',
    setup: [],
    steps: [
      step(
        'an Instance comes as soon as the namespace of its tenant does',
        async (actor) => {
          await actor.joins();
          const namespace = actor.object('v1', 'Namespace', actor.namespace);
          await actor.until('the namespace', () => !actor.isGone(namespace));
          await actor.orders(web);
        },
        isUp,
      ),
    ],
  },
  { name: 'order-store', setup: [joins], steps: [orders('store@1.0.0')] },
  { name: 'order-chain', setup: [joins], steps: [orders('chain@1.0.0')] },
  { name: 'order-batch', setup: [joins], steps: [orders('batch@1.0.0')] },
  {
    name: 'update',
    setup: withWeb,
    steps: [
      changes('the message changes', { parameters: { message: 'bye' } }, (actor) => {
        const [container] = actor.live(deployment(actor))?.spec.template.spec.containers ?? [];
        return isUp(actor) && container?.env[0].value === 'bye';
      }),
    ],
  },
  {
    name: 'scale',
    setup: withWeb,
    steps: [
      changes('up', { parameters: { replicas: 3 } }, runs(3)),
      changes('down', { parameters: { replicas: 1 } }, runs(1)),
    ],
  },
  {
    name: 'optional-child',
    setup: withWeb,
    steps: [
      changes(
        'it becomes public',
        { parameters: { public: true } },
        (actor) =>
          isUp(actor) && !actor.isGone(actor.child('networking.k8s.io/v1', 'NetworkPolicy', 'policy')),
      ),
      changes(
        'and private again',
        { parameters: { public: false } },
        isUpWithout(['networking.k8s.io/v1', 'NetworkPolicy', 'policy']),
      ),
    ],
  },
  {
    name: 'upgrade',
    setup: withWeb,
    steps: [
      changes(
        'to version 2',
        { blueprintRef: { version: '2.0.0' } },
        (actor) =>
          isUpWithout(['v1', 'Service', 'service'])(actor) &&
          !actor.isGone(actor.child('policy/v1', 'PodDisruptionBudget', 'budget')),
      ),
      changes(
        'and back',
        { blueprintRef: { version: '1.0.0' } },
        (actor) =>
          isUpWithout(
            ['v1', 'ConfigMap', 'settings'],
            ['policy/v1', 'PodDisruptionBudget', 'budget'],
          )(actor) && !actor.isGone(service(actor)),
      ),
    ],
  },
  {
    name: 'change-chain',
    setup: [joins, orders('chain@1.0.0')],
    steps: [
      changes('the word changes', { parameters: { word: 'b' } }, (actor) => {
        const copy = actor.live(actor.child('v1', 'ConfigMap', 'copy'));
        return isUp(actor) && copy?.data.word === 'b';
      }),
    ],
  },
  {
    name: 'change-store',
    setup: withStore(),
    steps: [
      changes('more connections', { parameters: { connections: 20 } }, (actor) => {
        const [container] =
          actor.live(actor.child('apps/v1', 'StatefulSet', 'db'))?.spec.template.spec.containers ?? [];
        return isUp(actor) && container?.env[0].value === '20';
      }),
    ],
  },
  {
    name: 'impossible-then-fixed',
    setup: withWeb,
    steps: [
      changes('a parameter is nonsense', { parameters: { replicas: 99 } }, (actor) =>
        actor.says(actor.instance, 'Stalled', 'True'),
      ),
      changes('and is put right', { parameters: { replicas: 2 } }, runs(2)),
    ],
  },
  {
    name: 'drift',
    setup: withWeb,
    steps: [
      step(
        'somebody scales the Deployment',
        (actor) => actor.patch(deployment(actor), { spec: { replicas: 4 } }),
        runs(1),
      ),
      step(
        'and another one takes the selector of the Service',
        (actor) => actor.patch(service(actor), { spec: { selector: { 'felucca.dev/node': 'other' } } }),
        (actor) => isUp(actor) && actor.live(service(actor))?.spec.selector['felucca.dev/node'] === 'web',
      ),
    ],
  },
  {
    name: 'child-deleted',
    setup: withWeb,
    steps: [
      takesAway('somebody deletes the Service', service),
      takesAway('and the Deployment', deployment, runs(1)),
    ],
  },
  {
    name: 'suspend',
    setup: withWeb,
    steps: [
      changes(
        'suspended',
        { suspend: true },
        (actor) => actor.says(actor.instance, 'Ready', 'False', 'Suspended') && replicasOf(actor) === 0,
      ),
      changes('resumed', { suspend: false }, runs(1)),
    ],
  },
  { name: 'delete', setup: withWeb, steps: [leaves] },
  { name: 'delete-chain', setup: [joins, orders('chain@1.0.0')], steps: [leaves] },
  { name: 'delete-store', setup: withStore(), steps: [leaves] },
  { name: 'delete-store-retain', setup: withStore({ deletionPolicy: 'Retain' }), steps: [leaves] },
  { name: 'delete-store-orphan', setup: withStore({ deletionPolicy: 'Orphan' }), steps: [leaves] },
  {
    name: 'order-again',
    setup: withWeb,
    steps: [
      leaves,
      step(
        'another one is ordered under its name',
        async (actor) => {
          await actor.until('the name is free', () => actor.isGone(actor.instance));
          await actor.orders(web, { message: 'again' });
        },
        isUp,
      ),
    ],
  },
  {
    name: 'delete-while-ordering',
    isRace: true,
    setup: [joins],
    steps: [
      step(
        'ordered, and deleted as soon as the first child is there',
        (actor) => actor.orders('store@1.0.0'),
        (actor) => !actor.isGone(actor.child('v1', 'ConfigMap', 'config')),
      ),
      leaves,
    ],
  },
];
