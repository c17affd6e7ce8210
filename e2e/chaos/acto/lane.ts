import type { RecordedWrite } from '../proxy/journal.ts';
import type { KubeObject, Rig } from '../rig.ts';
import { Administrator, type Answer, conditionOf, type Target } from './administrator.ts';
import type { Json } from './pointer.ts';
import { instanceState, type State } from './state.ts';
import type { Product } from './subjects.ts';

/** Judged by conditions; this is only where waiting turns into a finding. */
const SETTLE_MS = 60_000;

/** Says what was wrong with one operation. */
export class Finding extends Error {
  override name = 'Finding';
}

/** Something that was deleted, and what of it should stay. */
interface Discarded {
  target: Target;
  /** `data` of whatever has some; `children` for certain. */
  leaves: 'nothing' | 'data' | 'children';
}

/** A tenant of its own, in which one trial at a time works; several lanes run side by side. */
export class Lane {
  readonly rig: Rig;
  readonly administrator: Administrator;
  readonly name: string;
  readonly tenant: string;
  readonly namespace: string;
  /** Writes of specs so far. */
  operations = 0;
  #fresh = 0;
  /** Asked to go; the round waits for all of them. */
  readonly #going: Discarded[] = [];

  constructor(rig: Rig, name: string) {
    this.rig = rig;
    this.administrator = new Administrator(rig);
    this.name = name;
    this.tenant = `acto${name}`;
    this.namespace = `tenant-${this.tenant}`;
  }

  async prepare(): Promise<void> {
    const quota = { cpu: '10000', memory: '100Ti', storage: '900Ti', pods: 100_000 };
    const tenant: Target = { kind: 'Tenant', name: this.tenant };
    await this.create(tenant, { quota });
    await this.settled(tenant, 1, 'True');
  }

  /** Counts as an operation; throws when the API server refuses it. */
  async create(target: Target, spec: unknown): Promise<Answer> {
    this.operations += 1;
    const answer = await this.administrator.create(target, spec);
    if (!answer.accepted) throw new Finding(`${target.kind} ${target.name} was refused: ${answer.message}`);
    return answer;
  }

  /** Counts as an operation; a refusal is an answer like any other. */
  replace(target: Target, spec: unknown): Promise<Answer> {
    this.operations += 1;
    return this.administrator.replaceSpec(target, spec);
  }

  instance(name: string): Target {
    return { kind: 'Instance', namespace: this.namespace, name };
  }

  get(target: Target): KubeObject | undefined {
    return this.administrator.get(target);
  }

  /** The lane's Instance of a product, Ready with the product's own spec. */
  async standing(product: Product): Promise<Target> {
    const target = this.instance(`standing-${product.name}`);
    if (!this.get(target)) {
      const { generation } = await this.create(target, product.spec);
      await this.settled(target, generation, 'True');
    }
    return target;
  }

  /** Another one, made with this spec and nothing before it. */
  async fresh(spec: Json): Promise<Target> {
    this.#fresh += 1;
    const target = this.instance(`another-${this.name}x${this.#fresh}`);
    const { generation } = await this.create(target, spec);
    await this.settled(target, generation);
    return target;
  }

  async discard(target: Target): Promise<void> {
    const object = this.get(target);
    const policy = object?.['spec']?.deletionPolicy ?? 'Delete';
    const isKept = (entry: { onDelete: string }): boolean => entry.onDelete === 'Retain';
    const keeps = (object?.['status']?.inventory ?? []).some(isKept);
    const leaves = policy === 'Orphan' || keeps ? 'children' : policy === 'Retain' ? 'data' : 'nothing';
    await this.administrator.remove(target);
    this.#going.push({ target, leaves });
  }

  /** After a finding nothing can be relied on: the next trial gets new objects. */
  async startOver(products: readonly Product[]): Promise<void> {
    const standing = products.map(({ name }) => this.instance(`standing-${name}`));
    const all: Target[] = [...standing, { kind: 'Tenant', name: `bounded${this.name}` }];
    for (const target of all) if (this.get(target)) await this.administrator.remove(target);
    await this.comes(() => all.every((target) => !this.get(target)));
  }

  /** Waits for what was discarded. What does not go is a finding; so is what stays behind, or what should and does not. */
  async leftOvers(): Promise<string | undefined> {
    const going = this.#going.splice(0);
    const isThere = ({ target }: Discarded): boolean => this.get(target) !== undefined;
    await this.comes(() => !going.some(isThere));
    const stuck = going.filter(isThere).map(({ target }) => `${target.kind} ${target.name} does not go away`);
    const children = (leaves: Discarded['leaves']): KubeObject[] => {
      const names = going.filter((item) => item.leaves === leaves).map(({ target }) => target.name);
      return this.rig.observer
        .inNamespace(this.namespace)
        .map(([, object]) => object)
        .filter(({ metadata }) => names.includes(metadata.labels?.['felucca.dev/instance']));
    };
    await this.comes(() => children('nothing').length === 0);
    const left = children('nothing').map(({ kind, metadata }) => `${kind} ${metadata.name} was left behind`);
    const kept = new Set(children('children').map(({ metadata }) => metadata.labels['felucca.dev/instance']));
    const lost = going
      .filter(({ target, leaves }) => leaves === 'children' && !kept.has(target.name))
      .map(({ target }) => `nothing of ${target.name} is there any more, although something was to stay`);
    return [...stuck, ...left, ...lost].join('; ') || undefined;
  }

  state(target: Target): State {
    const object = this.get(target);
    if (!object) throw new Finding(`${target.kind} ${target.name} is gone`);
    return instanceState(this.rig.observer, object);
  }

  /** Waits until the operator is done with a generation, one way or the other. `ready` asks for one of them. */
  settled(target: Target, generation: number, ready?: 'True' | 'False'): Promise<KubeObject> {
    const isDone = (object: KubeObject): boolean =>
      (object['status']?.observedGeneration ?? 0) >= generation &&
      conditionOf(object, 'Reconciling') === undefined &&
      (ready === undefined || conditionOf(object, 'Ready')?.status === ready);
    return this.until(
      target,
      isDone,
      `generation ${generation} to be settled${ready ? `, Ready ${ready}` : ''}`,
    );
  }

  async until(target: Target, isSo: (object: KubeObject) => boolean, what: string): Promise<KubeObject> {
    const look = (): KubeObject | undefined => {
      const object = this.get(target);
      return object && isSo(object) ? object : undefined;
    };
    if (await this.comes(() => look() !== undefined)) return look() ?? this.until(target, isSo, what);
    const status = JSON.stringify(this.get(target)?.['status'] ?? 'absent').slice(0, 800);
    throw new Finding(
      `gave up after ${SETTLE_MS / 1000} s waiting for ${target.kind} ${target.name}: ${what}; its status is ${status}`,
    );
  }

  /** Whether it comes true; looked at with every change in the cluster. */
  comes(isSo: () => boolean, timeoutMs = SETTLE_MS): Promise<boolean> {
    return this.rig.observer.until('it', isSo, timeoutMs).catch(() => false);
  }

  /** What the operator wrote since the last rest, Events and its Lease left out. */
  get writes(): RecordedWrite[] {
    return this.rig.proxy.journal.writes.filter(({ key }) => !/^(events|leases)\b/.test(key));
  }
}
