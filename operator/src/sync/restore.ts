import {
  blueprintObjectName,
  canonicalJson,
  type DriftItem,
  type FeedKind,
  type InstanceSpec,
  isSensitiveAt,
  objectRef,
  type ParameterSchema,
  pointerSegments,
} from '@felucca/contract';
import { backoffWindow } from './backoff.ts';
import type { LiveObject } from './cluster.ts';
import type { SyncContext } from './context.ts';
import type { Deletions } from './deletions.ts';
import { tellUnaccounted } from './held-object.ts';
import { verifiedRow } from './hydrate.ts';
import type { LaneOutcome, Lanes } from './lanes.ts';
import {
  isBegun,
  isClusterError,
  isObstacle,
  type PutObstacle,
  putRow,
  SYNC_MANAGER,
  type WantedRow,
  writeRow,
} from './put-row.ts';
import { type GoodRow, type RowEntry, rowName } from './rows.ts';
import { managerOf, type SpecEdit, specEdits } from './spec-edits.ts';

/** Restorations of one object inside this span make the next one wait longer: a fight must not burn CPU. */
const CALM_AFTER_MS = 300_000;

interface Fight {
  rounds: number;
  lastMs: number;
}

/**
 * Objects that the control plane owns keep its spec. A watch event is only the hint; the decision is made on
 * a fresh read, because managedFields (who did it) are not cached.
 */
export class Restorer {
  private readonly context: SyncContext;
  private readonly lanes: Lanes;
  private readonly deletions: Deletions;
  /** Rows that only the feed has are needed; all of them come, soon and seldom. */
  readonly onRowsMissing: () => void;
  private readonly fights = new Map<string, Fight>();
  /**
   * What happened to keys whose lane was busy: the newest event, mostly an echo of our own write, or no object
   * when only a fresh read will do.
   */
  private readonly missed = new Map<string, { kind: FeedKind; key: string; object?: LiveObject }>();
  /** Comparisons that have not come to their end: a row that takes their place in the lane may have nothing to write. */
  private readonly unfinished = new Map<string, { kind: FeedKind; key: string }>();

  constructor(context: SyncContext, lanes: Lanes, deletions: Deletions, onRowsMissing: () => void) {
    this.context = context;
    this.lanes = lanes;
    this.deletions = deletions;
    this.onRowsMissing = onRowsMissing;
    lanes.onFree = (name) => {
      const missed = this.missed.get(name);
      this.missed.delete(name);
      const again = this.unfinished.get(name);
      if (again) this.queue(again.kind, again.key);
      else if (missed?.object) this.noticed(missed.kind, missed.key, missed.object);
      else if (missed) this.queue(missed.kind, missed.key);
    };
  }

  /** An object was added or changed. Cheap when its spec did not change: one comparison of generations. */
  noticed(kind: FeedKind, key: string, object: LiveObject): void {
    const good = this.context.rows.get(kind, key)?.good;
    const name = rowName(kind, key);
    if (this.lanes.busy(name)) {
      const waiting = this.missed.get(name);
      if (!waiting || waiting.object) this.missed.set(name, { kind, key, object });
      return;
    }
    if (!good || object.metadata.deletionTimestamp) return;
    if (good.uid === object.metadata.uid) {
      const generation = object.metadata.generation ?? 0;
      if (good.liveGeneration !== undefined && generation <= good.liveGeneration) return;
      if (good.spec && specEdits(good.spec, object.spec).length === 0) {
        good.liveGeneration = generation;
        return;
      }
    }
    this.queue(kind, key);
  }

  /** An object is gone from the cluster. */
  vanished(kind: FeedKind, key: string, stampId?: string, uid?: string): void {
    const { rows, outbox, refused } = this.context;
    const entry = rows.get(kind, key);
    refused.vanished(kind, key);
    // Whoever had the name is gone: what waits for that need not wait any longer.
    this.lanes.hurry(rowName(kind, key));
    const held = this.deletions.heldTombstone(kind, key);
    // A person did what its tombstone waited for.
    if (held && !entry?.deleting && (stampId === undefined || stampId === held.id)) {
      void this.deletions.forget(kind, key);
      outbox.deleted(held);
      refused.resolve(kind, key, held.id);
      this.ended(kind, key);
      return;
    }
    // Found on its way out at the start; but the feed wants it, so it was no tombstone that sent it there.
    const isWanted = entry?.feed !== undefined && entry.feed.id === entry.deleting?.id;
    if (entry?.deleting && !isWanted && (stampId === undefined || stampId === entry.deleting.id)) {
      const { id, generation, rev } = entry.deleting;
      outbox.deleted({ kind, key, id, generation, rev });
      // In a busy lane the next owner's own operation waits for this end.
      if (this.lanes.busy(rowName(kind, key)) && entry.feed) this.forgetObject(entry);
      else this.ended(kind, key);
      return;
    }
    if (!entry?.good) {
      // The answer to the write that made it may be on its way still: looked at once that is known.
      if (entry?.feed && this.lanes.busy(rowName(kind, key))) this.queue(kind, key);
      return;
    }
    const { id, generation } = entry.good;
    if (entry.feed?.id === id) {
      this.queue(kind, key);
      return;
    }
    // What had the name before it; this one is here.
    if (uid !== undefined && entry.good.uid !== undefined && uid !== entry.good.uid) return;
    outbox.unknownGone({ kind, key, id, generation });
    if (entry.feed) this.forgetObject(entry);
    else rows.remove(kind, key);
  }

  /** What the tombstone named is gone. */
  ended(kind: FeedKind, key: string): void {
    const { rows } = this.context;
    const entry = rows.get(kind, key);
    if (!entry?.feed) {
      rows.remove(kind, key);
      return;
    }
    this.forgetObject(entry);
    // The name's next owner was refused while this one was held; only the feed still has its row.
    this.onRowsMissing();
  }

  private forgetObject(entry: RowEntry): void {
    const { deleting: _, good: __, ...rest } = entry;
    this.context.rows.set(rest);
  }

  /** Compares with a fresh read and restores what differs, after whatever the feed has us do with the key. */
  queue(kind: FeedKind, key: string): void {
    // Submitted now, it would replace an operation that waits for its next attempt.
    const name = rowName(kind, key);
    if (this.lanes.busy(name)) {
      this.missed.set(name, { kind, key });
      return;
    }
    this.unfinished.set(name, { kind, key });
    void this.lanes.submit(name, {
      run: async (attempt) => {
        const outcome = await this.restore(kind, key, attempt);
        if (outcome === 'done') this.unfinished.delete(name);
        return outcome;
      },
    });
  }

  private async restore(kind: FeedKind, key: string, attempt: number): Promise<LaneOutcome> {
    const entry = this.context.rows.get(kind, key);
    if (!entry?.good || entry.feed?.id !== entry.good.id || entry.deleting) return 'done';
    try {
      const live = await this.context.cluster.read(kind, objectRef(kind, key));
      const good = (live && (await this.adopted(entry, live))) ?? entry.good;
      if (!good.spec) {
        this.onRowsMissing();
        return 'done';
      }
      const edits = live ? ownedEdits(good.spec, live) : [];
      if (live && live.metadata.uid === good.uid && edits.length === 0) {
        good.liveGeneration = live.metadata.generation ?? 0;
        return 'done';
      }
      const waitMs = attempt === 0 ? this.throttle(rowName(kind, key)) : 0;
      if (waitMs > 0) return { retryInMs: waitMs, settled: true };
      const { spec } = good;
      const restored = await putRow(this.context, { ...good, kind, key, spec });
      if (isObstacle(restored)) return this.obstructed(kind, key, good, restored, attempt);
      tellUnaccounted(this.context, this.deletions, this.keep(kind, key, restored));
      this.context.refused.resolve(kind, key);
      this.record(kind, key, live, edits);
      return 'done';
    } catch (error) {
      return afterClusterError(error, attempt);
    }
  }

  /** Read again: an epoch may have been adopted, or the row may have left the feed and all its traces, while we wrote. */
  private keep(kind: FeedKind, key: string, good: GoodRow): RowEntry {
    const { rows } = this.context;
    const entry = { ...(rows.get(kind, key) ?? { kind, key, seenRev: '0', epoch: '' }), good };
    rows.set(entry);
    return entry;
  }

  /**
   * Sees who has a name whose row left the feed while it waited: the row of that one may have left before, with nobody told.
   * What `row` itself began is finished, if it was admitted, so that it can be taken back.
   */
  async findHolder(row: WantedRow, isAdmitted: boolean): Promise<void> {
    const { cluster, rows } = this.context;
    const { kind, key } = row;
    const live = await cluster.read(kind, objectRef(kind, key));
    if (!live || live.metadata.deletionTimestamp) return;
    if (isAdmitted && isBegun(row, live)) this.keep(kind, key, await writeRow(this.context, row, live));
    else if (live.status?.desired && !rows.get(kind, key)?.good) {
      const good = await verifiedRow(this.context, kind, live);
      if (good) this.keep(kind, key, good);
    }
  }

  /** Another operator applied a newer row than the one known here: that one is to be kept, ours would undo it. */
  private async adopted(entry: RowEntry, live: LiveObject): Promise<GoodRow | undefined> {
    const { kind, key, good } = entry;
    const { desired } = live.status ?? {};
    // The generation is signed, the revision is not.
    if (!good || desired?.id !== good.id || desired.generation <= good.generation) return undefined;
    const newer = await verifiedRow(this.context, kind, live);
    // The feed may have brought the same or more while we read.
    if (!newer || this.context.rows.get(kind, key) !== entry) return undefined;
    const { id, rev, generation, hash } = newer;
    const feed = { id, rev, generation, hash };
    const isAhead = BigInt(newer.rev) > BigInt(entry.seenRev);
    this.context.rows.update(kind, key, {
      good: newer,
      ...(isAhead && entry.feed ? { feed, seenRev: newer.rev } : {}),
    });
    return newer;
  }

  /** Who took the name has it until a person decides; the control plane is told, as for a row of the feed. */
  private obstructed(
    kind: FeedKind,
    key: string,
    { id, rev, hash }: GoodRow,
    found: PutObstacle,
    attempt: number,
  ): LaneOutcome {
    const { rows, refused, log } = this.context;
    // While we read, it may have left the feed, and what is refused with it.
    if (found.obstacle === 'conflict' && rows.get(kind, key)?.feed?.id === id) {
      if (attempt === 0) log.warn({ kind, key }, `object not restored: ${found.message}`);
      const nack = {
        kind,
        key,
        id,
        rev,
        hash,
        code: 'NameConflict',
        message: found.message,
        retryable: true,
      };
      refused.refuse(nack, found.live.metadata.uid);
    }
    return { retryInMs: Math.min(250 * 2 ** Math.min(attempt, 10), 60_000), settled: true };
  }

  /** 0 for the first rounds of a fight, then seconds doubling to five minutes. */
  private throttle(name: string): number {
    const nowMs = this.context.clock.nowMs();
    const old = this.fights.get(name);
    const rounds = old && nowMs - old.lastMs < CALM_AFTER_MS ? old.rounds + 1 : 1;
    if (this.fights.size > 10_000) this.fights.clear();
    this.fights.set(name, { rounds, lastMs: nowMs });
    return rounds <= 3 ? 0 : backoffWindow(rounds - 4, 1_000, CALM_AFTER_MS).maxMs;
  }

  private record(kind: FeedKind, key: string, live: LiveObject | undefined, edits: OwnedEdit[]): void {
    const { outbox, rows, clock, emit, log } = this.context;
    const good = rows.get(kind, key)?.good;
    const object = `${kind}/${objectRef(kind, key).name}`;
    const found = live
      ? edits
      : [{ path: '', expected: 'present', actual: 'deleted', manager: '', extra: false }];
    const detectedAt = clock.date().toISOString();
    for (const edit of found) {
      const isSecret = kind === 'Instance' && this.isSensitive(good?.spec, edit.path);
      const item: DriftItem = {
        kind,
        key,
        id: good?.id ?? '',
        object,
        path: edit.path.slice(0, 512),
        expected: isSecret ? 'a sensitive value' : shown(edit.expected),
        actual: isSecret ? 'another value' : shown(edit.actual),
        manager: edit.manager.slice(0, 128),
        detectedAt,
        action: 'corrected',
      };
      outbox.drift(item);
    }
    const paths = found.map((edit) => edit.path || 'the object').join(', ');
    const managers = [...new Set(found.map((edit) => edit.manager).filter(Boolean))].join(', ') || 'somebody';
    const what = live
      ? `${managers} changed ${paths}; restored, because the control plane owns this ${kind}. Change it through the API.`
      : `somebody deleted it; made again, because the control plane owns this ${kind}. Delete it through the API.`;
    log.info({ kind, key, paths, managers }, `control-plane-owned object restored: ${what}`);
    emit(kind, key, good?.uid, {
      type: 'Warning',
      reason: live ? 'SpecEdited' : 'ObjectDeleted',
      message: what,
    });
  }

  /** What somebody has put there in the clear must not be told on; where the Blueprint is not known, nothing is. */
  private isSensitive(spec: Record<string, unknown> | undefined, path: string): boolean {
    const [, field, ...names] = pointerSegments(path);
    if (field !== 'parameters') return false;
    const { name = '', version = '' } = (spec as InstanceSpec | undefined)?.blueprintRef ?? {};
    const schema = this.context.blueprints(blueprintObjectName(name, version))?.['parameters'];
    return schema === undefined || isSensitiveAt(schema as ParameterSchema, names);
  }
}

/** Nothing of the row is refused for it: soon, then every 26 s. @throws what is no failure of the cluster */
export function afterClusterError(error: unknown, attempt: number): LaneOutcome {
  if (!isClusterError(error)) throw error;
  return { retryInMs: 100 * 2 ** Math.min(attempt, 8), settled: true };
}

type OwnedEdit = SpecEdit & { manager: string };

function ownedEdits(spec: Record<string, unknown>, live: LiveObject): OwnedEdit[] {
  const fields = live.metadata.managedFields ?? [];
  return specEdits(spec, live.spec).flatMap((edit) => {
    const manager = managerOf(fields, edit.path, SYNC_MANAGER);
    return edit.extra && manager === undefined ? [] : [{ ...edit, manager: manager ?? '' }];
  });
}

const shown = (value: unknown): string =>
  (value === undefined ? '' : typeof value === 'string' ? value : canonicalJson(value)).slice(0, 512);
