import { afterAll, afterEach, beforeAll, expect } from 'vitest';
import { Actor } from '../campaign/actor.ts';
import { BLUEPRINTS } from '../campaign/blueprints.ts';
import { isWrite } from '../proxy/api-request.ts';
import type { Fault } from '../proxy/fault.ts';
import {
  type Json,
  type KubeObject,
  kindOf,
  type OperatorChild,
  objectKey,
  type Rig,
  type RigOptions,
  startRig,
} from '../rig.ts';

/** Generous: others may use the machine too. What is waited for mostly takes a second. */
export const LONG_MS = 60_000;
const REST_MS = 1_500;
const REST_TIMEOUT_MS = 30_000;

let tenants = 0;

/** One rig per file, with the words that its tests are written in. */
export class Stage {
  rig!: Rig;
  readonly #others: OperatorChild[] = [];

  /** One more operator, for this test. */
  async another(name: string, options: RigOptions['operator']): Promise<OperatorChild> {
    const operator = await this.rig.another(`${name}-${this.#others.length}`, options);
    this.#others.push(operator);
    return operator;
  }

  async calm(): Promise<void> {
    // Whoever leads must be gone before the rig's own can lead again.
    for (const other of this.#others)
      if (other.running) {
        // A Lease that it does not hold would be taken away from whoever does.
        const keepLease = !(await other.works());
        await other.kill({ keepLease });
      }
    await this.rig.calm();
    this.rig.proxy.journal.clear();
  }

  /** A tenant of its own, ready. */
  async tenant(): Promise<Actor> {
    tenants += 1;
    const actor = new Actor(this.rig, `t${tenants}x`);
    await actor.joins();
    await this.until('the tenant is ready', () => actor.isReady(actor.tenant));
    return actor;
  }

  /** A tenant with a web Instance that is up. */
  async customer(): Promise<Actor> {
    const actor = await this.tenant();
    await actor.orders('web@1.0.0');
    await this.isUp(actor);
    await this.rests(actor);
    return actor;
  }

  until<T>(what: string, probe: () => T | undefined | false | Promise<T | undefined | false>): Promise<T> {
    return this.rig.observer.until(what, probe, LONG_MS);
  }

  async isUp(actor: Actor): Promise<void> {
    await this.until(`the Instance of ${actor.id} is Ready`, () => actor.isReady(actor.instance)).catch(
      (error: Error) => {
        const { metadata, status } = actor.live(actor.instance) ?? {};
        const seen = JSON.stringify({ generation: metadata?.generation, ...status });
        throw new Error(`${error.message}\n${seen}\n${this.rig.log().slice(-2_000)}`);
      },
    );
  }

  /** I6: nothing is written any more. */
  async rests(actor: Actor): Promise<void> {
    const writes = (): number => this.writes(actor).length;
    let seen = writes();
    let since = performance.now();
    const until = since + REST_TIMEOUT_MS;
    while (performance.now() - since < REST_MS) {
      await pause(100);
      if (writes() !== seen) since = performance.now();
      seen = writes();
      if (performance.now() > until)
        throw new Error(`it does not rest: ${this.writes(actor).slice(-5).join(', ')}`);
    }
  }

  /** What the operator wrote for a tenant. */
  writes(actor: Actor): string[] {
    return this.rig.proxy.journal.writes
      .filter(({ key }) => key.includes(actor.id) && !key.startsWith('events'))
      .map(({ verb, key, status }) => `${verb} ${key} ${status}`);
  }

  /** How often an object of this name was made, since the stage was set. */
  made(object: KubeObject): number {
    return this.#changes(object, 'ADDED').length;
  }

  gone(object: KubeObject): number {
    return this.#changes(object, 'DELETED').length;
  }

  /** I2: what an object is said to be at never goes back. */
  expectOnwards(object: KubeObject): void {
    const seen = this.#changes(object, 'MODIFIED').map(
      ({ object: { status } }) => status?.observedGeneration ?? -1,
    );
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
  }

  /** I1 I3 I6: each child was made once, none went, and nothing is written any more. */
  async expectMadeOnce(actor: Actor): Promise<void> {
    await this.isUp(actor);
    await this.rests(actor);
    for (const child of childrenOf(actor))
      expect(`${child.kind}: made ${this.made(child)}, gone ${this.gone(child)}`).toBe(
        `${child.kind}: made 1, gone 0`,
      );
    this.expectOnwards(actor.instance);
  }

  #changes(object: KubeObject, type: string) {
    const { namespace, name } = object.metadata;
    const key = objectKey(kindOf(object.apiVersion, object.kind), namespace, name);
    return this.rig.observer.history.filter((change) => change.key === key && change.type === type);
  }
}

export const childrenOf = (actor: Actor): KubeObject[] => [deploymentOf(actor), serviceOf(actor)];
export const deploymentOf = (actor: Actor): KubeObject => actor.child('apps/v1', 'Deployment', 'web');
export const serviceOf = (actor: Actor): KubeObject => actor.child('v1', 'Service', 'service');
export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** The tests of one file share a cluster; each begins with no fault left and an operator that leads. */
export function useStage(name: string, options: Omit<RigOptions, 'name'> = {}): Stage {
  const stage = new Stage();
  beforeAll(async () => {
    stage.rig = await startRig({ name: `faults-${name}-${process.pid}`, ...options });
    for (const blueprint of BLUEPRINTS) await stage.rig.admin.apply(blueprint);
  });
  afterEach(() => stage.calm());
  afterAll(() => stage.rig?.stop());
  return stage;
}

/** A fault of the first requests that match; how many it hit so far. */
export function onFirst(
  count: number,
  matches: (key: string, verb: string) => boolean,
  make: () => Fault['request'] | undefined,
): Fault & { hits: number } {
  const fault: Fault & { hits: number } = {
    hits: 0,
    request: (request) => {
      if (fault.hits >= count || !isWrite(request) || !matches(request.key, request.verb)) return undefined;
      fault.hits += 1;
      return make()?.(request);
    },
  };
  return fault;
}

export const json = (status: number, body: Json, headers: Record<string, string> = {}) => ({
  status,
  headers: { 'content-type': 'application/json', ...headers },
  body: Buffer.from(JSON.stringify(body)),
});

/** What an API server that can't answer says. */
export const failure = (code: number, reason: string, headers: Record<string, string> = {}) =>
  json(code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', message: reason, reason, code }, headers);
