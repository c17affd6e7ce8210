import { counted, DATA_PLANE_NAME, type FeedKind, type Nack, objectRef } from '@felucca/contract';
import type { EmitEvent, Outbox } from './context.ts';
import { NACK_CODES } from './nacks.ts';
import { rowName } from './rows.ts';
import type { SyncMetrics } from './sync-metrics.ts';

/** A condition is for people; the control plane lists them all. */
const SHOWN = 5;
const MAX_SHOWN_LENGTH = 300;

interface Options {
  outbox: Pick<Outbox, 'nack' | 'nackResolved'>;
  metrics: Pick<SyncMetrics, 'refusedRows'>;
  emit: EmitEvent;
  dataPlaneUid: () => string | undefined;
  onChange: () => void;
}

/** Rows of the feed that are not applied, and why. Held deletions are told elsewhere. */
export class RefusedRows {
  /** By name and id: a row may be refused while the end of the name's former owner is, too. */
  private readonly rows = new Map<string, Map<string, Nack>>();
  private readonly options: Options;

  constructor(options: Options) {
    this.options = options;
    // A new link begins with none.
    for (const code of Object.keys(NACK_CODES)) options.metrics.refusedRows.set({ code }, 0);
  }

  /** `uid` is that of the object which has the row's name. At each attempt; an Event only when it is news. */
  refuse(nack: Nack, uid: string | undefined): void {
    const { outbox, metrics, emit, dataPlaneUid, onChange } = this.options;
    const { kind, key, id = '', code, message } = nack;
    // Whatever else was refused of this row before.
    if (code === 'MASS_DELETE_HELD') this.resolve(kind, key, id);
    outbox.nack(nack);
    if (code === 'MASS_DELETE_HELD') return;
    const ofName = this.rows.get(rowName(kind, key)) ?? new Map<string, Nack>();
    const old = ofName.get(id);
    this.rows.set(rowName(kind, key), ofName.set(id, nack));
    if (old?.code !== code) {
      if (old) metrics.refusedRows.dec({ code: old.code });
      metrics.refusedRows.inc({ code });
      const event = (about: string) => ({
        type: 'Warning' as const,
        reason: 'RowRefused',
        message: `${about} of the control plane is not applied here, ${code}: ${message}`,
      });
      if (uid) emit(kind, key, uid, event('the row'));
      // Nothing here has the name, so nobody would find an Event about it.
      else emit('DataPlane', DATA_PLANE_NAME, dataPlaneUid(), event(`${kind} ${key}`));
    }
    if (old?.code !== code || old.message !== message) onChange();
  }

  /** To a control plane that may have forgotten. */
  tellAgain(): void {
    for (const ofName of this.rows.values())
      for (const nack of ofName.values()) this.options.outbox.nack(nack);
  }

  /** Of this owner of the name, or of all of them: it was applied, or is gone from the feed. */
  resolve(kind: FeedKind, key: string, id?: string): void {
    const name = rowName(kind, key);
    const ofName = this.rows.get(name);
    if (!ofName) return;
    const resolved = [...ofName].filter(([one]) => id === undefined || one === id);
    for (const [one, { code }] of resolved) {
      this.options.metrics.refusedRows.dec({ code });
      ofName.delete(one);
      this.options.outbox.nackResolved({ kind, key, id: one });
    }
    if (ofName.size === 0) this.rows.delete(name);
    if (resolved.length > 0) this.options.onChange();
  }

  vanished(kind: FeedKind, key: string): void {
    // Its tombstone found the object without our mark: over when that is gone.
    for (const [id, { code }] of [...(this.rows.get(rowName(kind, key)) ?? [])])
      if (code === 'IdMismatch') this.resolve(kind, key, id);
  }

  /** For the condition; undefined when every row is applied. In one order, whichever was refused first. */
  summary(): string | undefined {
    const names = [...this.rows.keys()].sort();
    const refused = names.flatMap((name) => [...this.rows.get(name)!.values()]);
    if (refused.length === 0) return undefined;
    const shown = refused.slice(0, SHOWN).map(describe);
    return (
      `${counted(refused.length, 'row')} of the control plane ${refused.length === 1 ? 'is' : 'are'} not applied here: ` +
      `${shown.join('; ')}${refused.length > SHOWN ? '; …' : ''}. ` +
      'GET /v1/data-planes/<name>/refused-rows lists them'
    );
  }
}

function describe({ kind, key, code, message }: Nack): string {
  const { namespace, name } = objectRef(kind, key);
  const text = `${kind} ${namespace ? `${namespace}/` : ''}${name} (${code}: ${message})`;
  return text.length > MAX_SHOWN_LENGTH ? `${text.slice(0, MAX_SHOWN_LENGTH)}…` : text;
}
