import { generateKeyPairSync } from 'node:crypto';
import { ANNOTATIONS, canonicalJson, type DataPlaneObject, objectRef } from '@felucca/contract';
import type { FeedMetrics } from '@felucca/control-api/feed/metrics';
import { pseudoRandom } from '@felucca/dev/pseudo-random';
import { DataPlaneStatusWriter } from '@felucca/operator/data-plane/status';
import type { LiveObject } from '@felucca/operator/sync/cluster';
import { Link } from '@felucca/operator/sync/link';
import type { SyncMetrics } from '@felucca/operator/sync/sync-metrics';
import { pino } from 'pino';
import { SimulatedCluster } from './cluster.ts';
import { ControlPlane } from './control-plane.ts';
import { DATA_PLANE_ID, Database, SIGNING_KEYS } from './database.ts';

export const KEYS = ['acme/a', 'acme/b', 'acme/c', 'acme/d'];
export type Happening = { afterMs: number } & (
  | { do: 'order'; key: string; size: number }
  | { do: 'budget'; percent: number }
  | { do: 'delete' | 'deleteLocally' | 'edit' | 'addField' | 'forgeRow' | 'forgeEnd'; key: string }
  | { do: 'compact' | 'restore' | 'restoreUnnoticed' | 'backup' | 'backupCluster' | 'restoreCluster' }
  | { do: 'release' | 'releaseNamed' | 'takeBack' | 'removeUnknown' }
  | { do: 'cut' | 'crash' | 'drain' | 'apiAway' | 'apiBack' | 'clusterFails' | 'clusterWorks' }
);

const DATA_PLANE = { name: 'default' };
const { privateKey, publicKey } = generateKeyPairSync('ed25519');
const IDENTITY = {
  'private-key.pem': privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  'public-key': publicKey.export({ format: 'jwk' }).x!,
  'link.json': JSON.stringify({
    dataPlaneId: DATA_PLANE_ID,
    dataPlaneName: 'test',
    keyId: 'key',
    signingKeys: SIGNING_KEYS,
  }),
};
/** Longest that anything waits before it is tried again, twice over. */
const PATIENCE_MS = 1_800_000;
/** Longer than a row waits for its name between two attempts, and a comparison after it. */
const QUIET_MS = 120_000;

/** A control plane, a cluster and an operator between them, on a clock that only the test moves. */
export class World {
  readonly database = new Database();
  readonly cluster: SimulatedCluster;
  readonly controlPlane: ControlPlane;
  private readonly random: () => number;
  private readonly advance: (ms: number) => Promise<unknown>;
  private readonly metrics: SyncMetrics;
  private readonly slots: number;
  private backup = this.database.backup();
  private clusterBackup: LiveObject[];
  private process: { link: Link; end: AbortController } | undefined;
  private term = 0;
  private clusterFails = false;
  /** Whether anybody ever permitted a deletion, by a budget or by name. */
  private permitted: boolean;
  private readonly notPermitted: string[] = [];
  private forgedApplied = false;
  private restores = 0;
  private readonly stillWanted: string[] = [];

  constructor(options: {
    seed: number;
    /** Of the deletion budget, percent; with 0 a person permits each deletion. Left out: the default. */
    budget?: number | undefined;
    /** Names that are worked on at once; with fewer than names a row may wait for its turn, and others overtake it. */
    slots?: number | undefined;
    advance: (ms: number) => Promise<unknown>;
    metrics: { feed: FeedMetrics; sync: SyncMetrics };
  }) {
    this.random = pseudoRandom(options.seed);
    this.advance = options.advance;
    this.metrics = options.metrics.sync;
    this.slots = options.slots ?? KEYS.length;
    const delayMs = (): number => Math.floor(this.random() ** 3 * 400);
    this.cluster = new SimulatedCluster({
      delayMs,
      onRemove: (id, generation) => {
        if (!this.database.wentBackUnnoticed && this.database.isKnownWanted(id, generation))
          this.stillWanted.push(`${id} was deleted, and its operator knew that it is wanted`);
      },
      fails: () =>
        this.clusterFails && this.random() < 0.5 ? (this.random() < 0.5 ? 'before' : 'after') : '',
    });
    this.clusterBackup = this.cluster.backup();
    this.cluster.onEvent(({ object }) => {
      const spec = object.spec as { parameters?: { size?: number } } | undefined;
      if (spec?.parameters?.size === FORGED_SIZE) this.forgedApplied = true;
    });
    this.controlPlane = new ControlPlane(
      this.database,
      { delayMs, wakes: () => this.random() < 0.8 },
      options.metrics.feed,
    );
    this.permitted = options.budget !== 0;
    this.database.put(
      'DataPlane',
      'default',
      options.budget === undefined ? {} : { deletionBudgetPercent: options.budget },
    );
    this.backup = this.database.backup();
  }

  /** @returns what is not as it must be in the end; nothing when all is well. */
  async live(happenings: readonly Happening[]): Promise<string[]> {
    this.startOperator();
    for (const happening of happenings) {
      await this.advance(happening.afterMs);
      this.happen(happening);
    }
    this.controlPlane.away = false;
    this.clusterFails = false;
    const wrong = await this.settle();
    return [...wrong, ...(await this.end())];
  }

  happen(happening: Happening): void {
    const { database, cluster, controlPlane } = this;
    const key = 'key' in happening ? happening.key : '';
    const ref = objectRef('Instance', key);
    const acts: Record<Happening['do'], () => void> = {
      order: () => database.put('Instance', key, specOf('size' in happening ? happening.size : 0)),
      delete: () => database.delete('Instance', key),
      deleteLocally: () => cluster.remove('Instance', ref),
      releaseNamed: () => {
        this.permit();
        database.releaseNamed();
      },
      removeUnknown: () => database.removeUnknown(),
      takeBack: () => database.takeBack(specOf(5)),
      forgeRow: () => database.forge(key, specOf(FORGED_SIZE)),
      forgeEnd: () => database.forge(key, undefined),
      edit: () => cluster.edit('Instance', ref, { size: 99 }),
      addField: () => cluster.edit('Instance', ref, { extra: true }),
      budget: () => {
        const percent = 'percent' in happening ? happening.percent : 0;
        database.settings({ deletionBudgetPercent: percent });
        if (percent > 0) this.permit();
      },
      compact: () => database.compact(this.random() < 0.3),
      backup: () => {
        this.backup = database.backup();
      },
      restore: () => {
        this.restores += 1;
        database.restore(this.backup);
      },
      restoreUnnoticed: () => {
        this.restores += 1;
        database.restoreUnnoticed(this.backup);
      },
      backupCluster: () => {
        this.clusterBackup = cluster.backup();
      },
      restoreCluster: () => {
        this.process?.end.abort();
        cluster.restore(this.clusterBackup);
        database.operatorForgot();
        this.crash();
      },
      release: () => this.release(),
      cut: () => controlPlane.cut(),
      crash: () => this.crash(),
      drain: () => controlPlane.shutdown(),
      apiAway: () => {
        controlPlane.away = true;
        controlPlane.cut();
      },
      apiBack: () => {
        controlPlane.away = false;
      },
      clusterFails: () => {
        this.clusterFails = true;
      },
      clusterWorks: () => {
        this.clusterFails = false;
      },
    };
    acts[happening.do]();
    controlPlane.committed();
  }

  private crash(): void {
    this.process?.end.abort();
    void this.process?.link.stop(0);
    this.startOperator();
  }

  private release(): void {
    this.permit();
    this.cluster.annotate('DataPlane', DATA_PLANE, { [ANNOTATIONS.releaseDeletions]: 'a person' });
  }

  private permit(): void {
    if (!this.permitted)
      for (const { key, id } of this.cluster.removed)
        this.notPermitted.push(`${key} ${id} was deleted before anybody permitted a deletion`);
    this.permitted = true;
  }

  startOperator(): void {
    const end = new AbortController();
    this.term += 1;
    const { term } = this;
    const { cluster, watches } = this.cluster.client(end.signal);
    const log = pino({ level: 'silent' });
    const link = new Link({
      api: this.controlPlane.client(end.signal),
      cluster,
      identityStore: {
        read: async () => ({ data: IDENTITY, resourceVersion: '1' }),
        create: async () => false,
        update: async () => true,
      },
      watches,
      status: new DataPlaneStatusWriter({
        port: {
          read: () => cluster.read('DataPlane', DATA_PLANE) as Promise<DataPlaneObject | undefined>,
          create: async () => this.cluster.get('DataPlane', DATA_PLANE) as DataPlaneObject,
          applyStatus: (object) => cluster.apply(object, 'status'),
        },
        now: () => new Date(),
        log,
      }),
      term: () => term,
      aloneSinceMs: 0,
      joinToken: async () => undefined,
      instance: `operator-${term}`,
      operatorVersion: 'test',
      concurrency: this.slots,
      emit: () => {},
      clock: { nowMs: () => Date.now(), date: () => new Date() },
      random: this.random,
      metrics: this.metrics,
      log,
    });
    this.process = { link, end };
    // As its Deployment does with a process that ends.
    link.start().catch(() => {
      setTimeout(() => this.process?.link === link && this.crash(), 1_000);
    });
  }

  /**
   * Nothing goes wrong any more, and a person lets held deletions go: how long until all is as it should be?
   * @returns what is not, after the longest that anything may wait
   */
  async settle(): Promise<string[]> {
    let wrong: string[] = [];
    // Until everything has been compared, and reports that were not accepted have been sent again.
    await this.advance(120_000);
    const untold = this.untold();
    for (let passedMs = 0; passedMs < PATIENCE_MS; passedMs += 20_000) {
      await this.advance(20_000);
      wrong = this.differences();
      if (wrong.length === 0) break;
      // What a restored database has lost the tombstone of can be released in the cluster only.
      if (passedMs % 240_000 === 120_000) this.release();
      else if (passedMs % 240_000 === 0) this.happen({ do: 'releaseNamed', afterMs: 0 });
    }
    const unsettled = wrong.length === 0 && this.restores > 0 ? await this.unsettled() : [];
    return [...untold, ...wrong, ...unsettled];
  }

  /** Whoever holds exactly the live rows has them compared no more, whatever still waits for its next attempt. */
  private async unsettled(): Promise<string[]> {
    await this.advance(QUIET_MS);
    const { answers } = this.controlPlane;
    const before = answers.length;
    await this.advance(QUIET_MS);
    const compared = answers.slice(before).filter((mode) => mode === 'verify').length;
    return [...(compared > 0 ? [`rows differed again, ${compared} times`] : []), ...this.differences()];
  }

  /** Whoever looks for what waits for a decision must find it, before anybody decides. */
  private untold(): string[] {
    const { database, cluster, controlPlane } = this;
    const live = database.live();
    const held = cluster
      .all()
      .filter(({ metadata }) => metadata.annotations?.[ANNOTATIONS.heldDeletion] !== undefined)
      .filter(({ metadata }) => metadata.deletionTimestamp === undefined);
    return held.flatMap((object) => {
      const name = `acme/${object.metadata.name} ${idOf(object)}`;
      // Somebody wrote over the row that had taken it back: that one is told as refused.
      const key = `acme/${object.metadata.name}`;
      const isForged = live.get(key)?.forged === true && controlPlane.refused.has(key);
      const isTold = database.isHeld(name) || database.isUnknown(name) || database.wentBackUnnoticed;
      return isTold || isForged ? [] : [`the deletion of ${name} is held, and nobody was told`];
    });
  }

  /** @returns deletions that nobody asked for */
  async end(): Promise<string[]> {
    this.process?.end.abort();
    void this.process?.link.stop(0);
    await this.advance(10_000);
    return this.unwantedDeletions();
  }

  private differences(): string[] {
    const { database, cluster, controlPlane } = this;
    const live = database.live();
    const found: string[] = [];
    for (const row of live.values()) {
      const object = cluster.get(row.kind, objectRef(row.kind, row.key));
      const desired = object?.status?.desired;
      // Lost by a restore, and its name ordered anew, or ahead of what is left: it stays until a person decides.
      const id = object && idOf(object);
      // Not stamped yet when a restore lost its row: whoever has the name is told as what is in the way.
      if (id !== row.id && !desired && controlPlane.refused.has(row.key)) continue;
      // The last good row stays, and whoever forged this one gets it refused.
      if (row.forged && controlPlane.refused.has(row.key)) continue;
      const isAhead = id !== row.id || (desired && desired.generation > row.generation);
      const waits = id !== row.id || database.isOfBefore(row);
      if (isAhead && waits && database.isUnknown(`${row.key} ${id}`)) continue;
      if (!object || object.metadata.deletionTimestamp) found.push(`${row.key} is not there`);
      else if (desired?.id !== row.id || desired.generation !== row.generation)
        found.push(
          `${row.key} has ${desired?.id} ${desired?.generation} instead of ${row.id} ${row.generation}`,
        );
      else if (row.kind === 'Instance' && canonicalJson(object.spec) !== canonicalJson(row.spec))
        found.push(`${row.key} is ${canonicalJson(object.spec)} instead of ${canonicalJson(row.spec)}`);
      if (object?.metadata.annotations?.[ANNOTATIONS.heldDeletion] !== undefined)
        found.push(`${row.key} is wanted and says that its deletion is held`);
      const name = `${row.key} ${row.id}`;
      const told = database.observed.get(name);
      const isTold = told?.generation === row.generation && !told.deleted;
      if (row.kind === 'Instance' && !isTold && !database.lost.has(`${name} ${row.generation}`))
        found.push(`of ${row.key} the control plane knows nothing new`);
    }
    for (const object of cluster.all()) {
      const key = `acme/${object.metadata.name}`;
      const id = idOf(object);
      if (object.kind !== 'Instance' || live.get(key)?.id === id) continue;
      // A crash came before its stamp: it counts as applied on the cluster.
      // Without an organization there is nobody to tell.
      const isKnown =
        controlPlane.refused.has(key) ||
        database.observed.has(`${key} ${object.metadata.uid}`) ||
        !database.hasOrganization;
      if (!object.status?.desired && isKnown) continue;
      if (database.endForged.has(id ?? '') && controlPlane.refused.has(key)) continue;
      if (!database.isUnknown(`${key} ${id}`)) found.push(`${key} ${id} is left over, and nobody was told`);
    }
    const { epoch, head } = database.head;
    // Behind an operator's back revisions came a second time: where the digest agrees, nobody can know of it.
    for (const { kind, key, id } of database.ends())
      if (
        kind === 'Instance' &&
        !database.wentBackUnnoticed &&
        !database.observed.get(`${key} ${id}`)?.deleted
      )
        found.push(`of the end of ${key} ${id} the control plane knows nothing`);
    if (database.acked.epoch !== epoch || database.acked.cursor !== head)
      found.push(`acknowledged is ${database.acked.epoch}:${database.acked.cursor} of ${epoch}:${head}`);
    return found;
  }

  /** Absence never deletes, and neither does anything else that is no tombstone. */
  private unwantedDeletions(): string[] {
    this.permit();
    const unwanted = this.cluster.removed.filter(({ id }) => !this.database.ended.has(id));
    return [
      ...this.notPermitted,
      ...this.stillWanted,
      ...(this.database.epochsBegun > this.restores ? ['an epoch began that no restore explains'] : []),
      ...(this.forgedApplied ? ['a row that nobody signed was applied'] : []),
      ...unwanted.map(({ id, key }) => `${key} ${id} was deleted, and nobody ever wanted that`),
    ];
  }
}

/** The stamp comes after the spec. */
const idOf = ({ metadata, status }: LiveObject): string | undefined =>
  status?.desired?.id ?? metadata.annotations?.[ANNOTATIONS.id];

/** Of rows that nobody signed. */
const FORGED_SIZE = 666;

const specOf = (size: number): Record<string, unknown> => ({
  blueprintRef: { name: 'web', version: '1.0.0' },
  parameters: { size },
});
