import {
  ANNOTATIONS,
  type DriftRecord,
  digestOf,
  FIELD_MANAGERS,
  type FieldDifference,
  isStillOwned,
  type KubeObject,
  ownedDifferences,
  type TenantObject,
} from '@felucca/contract';
import { type LiveObject, refOf } from '../cluster.ts';
import { driftMessage, driftRecord } from '../instance/drift-record.ts';
import { APPLIED_HASH, isApplied } from '../instance/plan.ts';
import type { TenantContext } from './reconcile-tenant.ts';

const MISSING: FieldDifference = { path: '', expected: 'exists', actual: 'deleted' };

/** A Tenant's namespace and what is in it before the first Instance, kept as they should be in one reconcile. */
export class GuardRails {
  /** Repairs that somebody undoes again and again wait so long. */
  throttledMs = 0;
  fight: DriftRecord | undefined;
  readonly #context: TenantContext;
  readonly #tenant: TenantObject;
  readonly #wereThere: boolean;

  /** `wereThere`: all of them, once: what is missing was taken away. */
  constructor(context: TenantContext, tenant: TenantObject, wereThere: boolean) {
    this.#context = context;
    this.#tenant = tenant;
    this.#wereThere = wereThere;
  }

  async ensure(object: KubeObject): Promise<boolean> {
    return this.ensureFrom(object, await this.#context.cluster.read(refOf(object)));
  }

  /** Applies only when what we want changed or somebody took a field away from us; returns whether it did. */
  async ensureFrom(object: KubeObject, live: LiveObject | undefined): Promise<boolean> {
    const hash = digestOf(object);
    const marked: KubeObject = {
      ...object,
      metadata: { ...object.metadata, annotations: { [ANNOTATIONS.appliedHash]: hash } },
    };
    const isOurs = (path: string): boolean =>
      isStillOwned(live?.metadata.managedFields, path, FIELD_MANAGERS.reconciler, marked);
    // Under an older hash of ours it is we who want something else.
    const isAsked = live ? !isApplied(live, hash) && isOurs(APPLIED_HASH) : !this.#wereThere;
    const differences = live ? ownedDifferences(marked, live) : [MISSING];
    const drift = isAsked ? undefined : differences.find(({ path }) => !isOurs(path));
    if (!isAsked && !drift) return false;
    const record = drift && this.#record(marked, live, drift);
    if (record && this.#isHeld(record)) return false;
    await this.#context.cluster.apply(marked, { manager: FIELD_MANAGERS.reconciler });
    if (record) this.#repaired(object.kind, record);
    return true;
  }

  #record(object: KubeObject, live: LiveObject | undefined, drift: FieldDifference): DriftRecord {
    const { kind, metadata } = object;
    const finding = { ...drift, kind, name: metadata.name, policy: 'correct' as const };
    return driftRecord(finding, live, object, 'corrected', this.#context.clock()).record;
  }

  #isHeld(record: DriftRecord): boolean {
    const { throttle, metrics } = this.#context;
    const waitMs = throttle.waitMs(this.#key(record));
    if (waitMs === 0) return false;
    metrics.repairThrottled();
    this.throttledMs = Math.max(this.throttledMs, waitMs);
    this.fight = record;
    return true;
  }

  /** Counted when it is made: one that an API server is too busy for is no part of a fight. */
  #repaired(kind: string, record: DriftRecord): void {
    const { throttle, metrics, emit } = this.#context;
    throttle.count(this.#key(record));
    metrics.driftDetected(kind);
    metrics.driftRepaired();
    emit(this.#tenant, { type: 'Normal', reason: 'DriftCorrected', message: driftMessage(record) });
  }

  #key({ object }: DriftRecord): string {
    return `${this.#tenant.metadata.uid}/${object}`;
  }
}
