import { type DataPlaneSpec, dataPlaneSpecSchema } from '@felucca/contract';
import type { Logger } from 'pino';
import { rememberSigningKeys } from './identity.ts';
import type { IdentityStore } from './identity-store.ts';
import type { TrustedKeys } from './verify.ts';

/** kid → Ed25519 public key (JWK `x`). */
type Keys = Record<string, string>;

/**
 * Which signatures count: of the keys pinned at join, until a row that one of these signed names others. The Secret knows
 * before the cluster has such a row: a restart in between must be able to verify what it finds.
 */
export class SigningKeys {
  private readonly trust: TrustedKeys;
  private readonly store: IdentityStore;
  private readonly log: Logger;

  constructor(trust: TrustedKeys, store: IdentityStore, log: Logger) {
    this.trust = trust;
    this.store = store;
    this.log = log;
  }

  /** Before the row that names them is applied: those that signed so far count as well. */
  async admit(named: Keys | undefined): Promise<void> {
    if (named) await this.change({ ...this.trust.keys, ...named });
  }

  /** The row is in the cluster: from now on only what it names counts. */
  async settle(named: Keys | undefined): Promise<void> {
    if (named) await this.change(named);
  }

  private async change(keys: Keys): Promise<void> {
    const before = Object.keys(this.trust.keys);
    const kids = Object.keys(keys);
    if (kids.length === before.length && kids.every((kid) => this.trust.keys[kid] === keys[kid])) return;
    await rememberSigningKeys(this.store, keys);
    this.trust.only(keys);
    this.log.info({ trusted: kids, before }, 'rows are trusted by other signing keys now');
  }
}

/** The keys that a DataPlane's row names; undefined when it names none, and what was pinned at join counts. */
export function namedKeys(spec: unknown): Keys | undefined {
  const named: DataPlaneSpec['signingKeys'] = dataPlaneSpecSchema.safeParse(spec).data?.signingKeys;
  return named && Object.fromEntries(named.map(({ kid, publicKey }) => [kid, publicKey]));
}
