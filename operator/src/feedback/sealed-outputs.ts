import { createHmac, randomBytes } from 'node:crypto';
import {
  type InstanceObject,
  MAX_SEALED_OUTPUT_BYTES,
  padded,
  SEALING,
  sealingJwk,
  sealingKeyId,
} from '@felucca/contract';
import { CompactEncrypt, importJWK } from 'jose';
import type { Logger } from 'pino';
import type { LiveObject, SecretObject } from '../sync/cluster.ts';

export interface SealedOutputsOptions {
  dataPlaneId: string;
  readSecret: (namespace: string, name: string) => Promise<SecretObject | undefined>;
  /** Something is to be said of this Instance that was not said before. */
  onSealed: (instance: LiveObject) => void;
  log: Logger;
  retryMs?: number;
}

/** Secrets that are read at a time, and how long one waits that could not be read. */
const READERS = 4;
const RETRY_MS = 30_000;

interface Sealed {
  /** Of the value, with a key that only this process has: whether it is still the same. */
  mac: string;
  sealed: string;
}
type Outputs = Map<string, Sealed>;

/**
 * Seals what sensitive outputs refer to, for the API to open: of Instances that the control plane owns, from Secrets that
 * are theirs. A value is sealed once and not at each look, so that a report that says nothing new is none.
 */
export class SealedOutputs {
  private readonly options: SealedOutputsOptions;
  private readonly macKey = randomBytes(32);
  private readonly known = new Map<string, Outputs>();
  /** Newest of each Instance that is to be looked at, by UID. */
  private readonly waiting = new Map<string, LiveObject>();
  private readonly timers = new Set<NodeJS.Timeout>();
  private key: string | undefined;
  private readonly readers = new Set<Promise<void>>();
  private stopped = false;

  constructor(options: SealedOutputsOptions) {
    this.options = options;
  }

  /** True when everything is to be sealed anew. */
  setKey(key: string): boolean {
    if (key === this.key) return false;
    this.key = key;
    this.known.clear();
    return true;
  }

  told(uid: string): Record<string, string> | undefined {
    const known = this.known.get(uid);
    return known && Object.fromEntries([...known].map(([name, { sealed }]) => [name, sealed]));
  }

  /** In the background, and once however often it is asked for before. */
  look(instance: LiveObject): void {
    if (this.key === undefined || this.stopped || references(instance).length === 0) return;
    this.waiting.set(instance.metadata.uid ?? '', instance);
    this.read();
  }

  forget(uid: string): void {
    this.known.delete(uid);
    this.waiting.delete(uid);
  }

  stop(): void {
    this.stopped = true;
    this.waiting.clear();
    for (const timer of this.timers) clearTimeout(timer);
  }

  /** Nothing is being looked at. */
  async idle(): Promise<void> {
    while (this.readers.size > 0) await Promise.all(this.readers);
  }

  private read(): void {
    while (this.readers.size < READERS && this.waiting.size > 0) {
      const [uid, instance] = this.waiting.entries().next().value!;
      this.waiting.delete(uid);
      const reading = this.sealAll(uid, instance).finally(() => {
        this.readers.delete(reading);
        this.read();
      });
      this.readers.add(reading);
    }
  }

  private async sealAll(uid: string, instance: LiveObject): Promise<void> {
    const { key } = this;
    try {
      const outputs = await this.outputsOf(uid, instance, key ?? '');
      // With another key it is looked at again.
      if (this.stopped || key !== this.key) return;
      const isNews = !isSame(this.known.get(uid), outputs);
      this.known.set(uid, outputs);
      if (isNews) this.options.onSealed(instance);
    } catch (error) {
      // Its message only: an error of a read holds nothing that was read.
      const { namespace, name } = instance.metadata;
      this.options.log.warn({ namespace, name }, `sensitive outputs not sealed: ${(error as Error).message}`);
      this.later(uid, instance);
    }
  }

  private later(uid: string, instance: LiveObject): void {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      if (!this.waiting.has(uid)) this.waiting.set(uid, instance);
      this.read();
    }, this.options.retryMs ?? RETRY_MS).unref();
    this.timers.add(timer);
  }

  private async outputsOf(uid: string, instance: LiveObject, key: string): Promise<Outputs> {
    const { readSecret, dataPlaneId } = this.options;
    const { namespace = '' } = instance.metadata;
    const before = this.known.get(uid);
    const outputs: Outputs = new Map();
    for (const { output, name, field } of references(instance)) {
      const secret = await readSecret(namespace, name);
      const data = secret && isChild(secret, instance) ? secret.data?.[field] : undefined;
      if (data === undefined || Buffer.byteLength(data, 'base64') > MAX_SEALED_OUTPUT_BYTES) continue;
      const mac = createHmac('sha256', this.macKey).update(data).digest('base64');
      const old = before?.get(output);
      if (old?.mac === mac) {
        outputs.set(output, old);
        continue;
      }
      const context = { dataPlane: dataPlaneId, instance: instance.status?.desired?.id ?? '', output };
      const value = Buffer.from(data, 'base64').toString('utf8');
      outputs.set(output, { mac, sealed: await seal(key, value, context) });
    }
    return outputs;
  }
}

const isSame = (before: Outputs | undefined, now: Outputs): boolean =>
  (before?.size ?? 0) === now.size &&
  [...now].every(([name, { sealed }]) => before?.get(name)?.sealed === sealed);

/** Where the sensitive outputs of an Instance are, if the control plane owns it and has them told. */
function references(instance: LiveObject): { output: string; name: string; field: string }[] {
  const { metadata } = instance;
  const status = instance.status as InstanceObject['status'];
  if (!status?.desired || status.observedGeneration !== metadata.generation) return [];
  return Object.entries(status.outputs ?? {}).flatMap(([output, told]) =>
    'secretRef' in told ? [{ output, name: told.secretRef.name, field: told.secretRef.key }] : [],
  );
}

/**
 * The very Secret that the operator made: whoever has put another one under the name has not thereby made it an output.
 * Its owner does not tell, for a Secret that outlives its Instance has none.
 */
const isChild = ({ metadata }: SecretObject, { status }: LiveObject): boolean =>
  (status as InstanceObject['status'])?.inventory?.some(
    ({ kind, name, uid }) =>
      kind === 'Secret' && name === metadata.name && uid !== undefined && uid === metadata.uid,
  ) ?? false;

async function seal(key: string, value: string, context: object): Promise<string> {
  return new CompactEncrypt(padded(value))
    .setProtectedHeader({ ...SEALING, kid: sealingKeyId(key), context })
    .encrypt(await importJWK(sealingJwk(key), SEALING.alg));
}
