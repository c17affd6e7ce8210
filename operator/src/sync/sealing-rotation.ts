import { ANNOTATIONS } from '@felucca/contract';
import type { Logger } from 'pino';
import type { LiveObject } from './cluster.ts';
import type { IdentityStore } from './identity-store.ts';
import { keysInUse, rotateSealingKey } from './sealing-keys.ts';

export interface SealingRotationOptions {
  store: IdentityStore;
  instances: () => Iterable<LiveObject>;
  /** Uses the permission up before it is acted upon; who gave it. */
  take: (dataPlane: LiveObject, annotation: string) => Promise<string>;
  /** Tells the control plane the new key. */
  tell: (publicKey: string) => void;
  log: Logger;
}

/** A new sealing key when a person asks for one on the DataPlane. */
export class SealingRotation {
  private readonly options: SealingRotationOptions;
  private isAsked = false;

  constructor(options: SealingRotationOptions) {
    this.options = options;
  }

  /** Once for each time that the annotation appears: what a watch still shows of it is late. */
  seen(dataPlane: LiveObject): void {
    const wasAsked = this.isAsked;
    this.isAsked = dataPlane.metadata.annotations?.[ANNOTATIONS.rotateSealingKey] !== undefined;
    if (this.isAsked && !wasAsked) void this.rotate(dataPlane);
  }

  private async rotate(dataPlane: LiveObject): Promise<void> {
    const { store, instances, take, tell, log } = this.options;
    try {
      const by = await take(dataPlane, ANNOTATIONS.rotateSealingKey);
      const key = await rotateSealingKey(store, keysInUse([...instances()].map(({ spec }) => spec)));
      tell(key.publicKey);
      log.info({ by, kid: key.kid }, 'sensitive values are to be sealed to a new key from now on');
    } catch (error) {
      this.isAsked = false;
      log.warn({ err: error }, 'the sealing key stays as it is: it could not be rotated');
    }
  }
}
