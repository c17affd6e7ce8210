import { counted, DATA_PLANE_NAME, type FeedKind, type Nack, objectRef } from '@felucca/contract';
import type { EmitEvent, Outbox } from './context.ts';
import { rowName } from './rows.ts';

/** A condition is for people; the control plane lists them all. */
const SHOWN = 5;
const MAX_SHOWN_LENGTH = 300;

interface Options {
  outbox: Pick<Outbox, 'nack' | 'nackResolved'>;
  emit: EmitEvent;
  dataPlaneUid: () => string | undefined;
  onChange: () => void;
}

/** Rows of the feed that are not applied, and why. Held deletions are told elsewhere. */
export class RefusedRows {
  private readonly rows = new Map<string, Nack>();
  private readonly options: Options;

  constructor(options: Options) {
    this.options = options;
  }

  /** `uid` is that of the object which has the row's name. At each attempt; an Event only when it is news. */
  refuse(nack: Nack, uid: string | undefined): void {
    const { outbox, emit, dataPlaneUid, onChange } = this.options;
    outbox.nack(nack);
    if (nack.code === 'MASS_DELETE_HELD') return;
    const { kind, key, code, message } = nack;
    const old = this.rows.get(rowName(kind, key));
    this.rows.set(rowName(kind, key), nack);
    if (old?.code !== code) {
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
    for (const nack of this.rows.values()) this.options.outbox.nack(nack);
  }

  resolve(kind: FeedKind, key: string): void {
    this.options.outbox.nackResolved(kind, key);
    if (this.rows.delete(rowName(kind, key))) this.options.onChange();
  }

  vanished(kind: FeedKind, key: string): void {
    // Its tombstone found the object without our mark: over when that is gone.
    if (this.rows.get(rowName(kind, key))?.code === 'IdMismatch') this.resolve(kind, key);
  }

  /** For the condition; undefined when every row is applied. In one order, whichever was refused first. */
  summary(): string | undefined {
    const names = [...this.rows.keys()].sort();
    if (names.length === 0) return undefined;
    const shown = names.slice(0, SHOWN).map((name) => describe(this.rows.get(name)!));
    return (
      `${counted(names.length, 'row')} of the control plane ${names.length === 1 ? 'is' : 'are'} not applied here: ` +
      `${shown.join('; ')}${names.length > SHOWN ? '; …' : ''}. ` +
      'GET /v1/data-planes/<name>/refused-rows lists them'
    );
  }
}

function describe({ kind, key, code, message }: Nack): string {
  const { namespace, name } = objectRef(kind, key);
  const text = `${kind} ${namespace ? `${namespace}/` : ''}${name} (${code}: ${message})`;
  return text.length > MAX_SHOWN_LENGTH ? `${text.slice(0, MAX_SHOWN_LENGTH)}…` : text;
}
