import {
  API_VERSION,
  type Condition,
  type ConditionInput,
  type ConditionType,
  canonicalJson,
  DATA_PLANE_NAME,
  type DataPlaneStatus,
  type KubeObject,
  type ObjectMeta,
  setCondition,
  withoutCondition,
} from '@felucca/contract';
import type { Logger } from 'pino';

const LINK_FIELDS = ['dataPlaneId', 'epoch', 'cursor', 'holder', 'operatorVersion', 'heldDeletions'] as const;
/** What the operator remembers about the link; the rest of the status belongs to other writers. */
export type LinkStatus = Pick<DataPlaneStatus, (typeof LINK_FIELDS)[number]>;

export interface DataPlanePort {
  read(): Promise<KubeObject<unknown, DataPlaneStatus> | undefined>;
  /** Creates the singleton without a spec; harmless when it exists. */
  create(): Promise<KubeObject<unknown, DataPlaneStatus>>;
  /** Server-side apply of our part of the status. */
  applyStatus(object: KubeObject): Promise<unknown>;
}

export interface DataPlaneStatusOptions {
  port: DataPlanePort;
  now: () => Date;
  log: Logger;
  /** Changes of this span become one write; a busy feed writes its cursor about once a second. */
  coalesceMs?: number;
}

const COALESCE_MS = 1_000;
const RETRY_MS = 5_000;

/** The single writer of the link's status: nothing is written unless something changed. */
export class DataPlaneStatusWriter {
  private readonly options: DataPlaneStatusOptions;
  private link: LinkStatus = {};
  private conditions: readonly Condition[] = [];
  private generation = 0;
  private uid: string | undefined;
  private written = '';
  private timer: NodeJS.Timeout | undefined;
  private writing: Promise<void> = Promise.resolve();
  private stopped = false;

  constructor(options: DataPlaneStatusOptions) {
    this.options = options;
  }

  /** Reads what an earlier process remembered. */
  async load(): Promise<LinkStatus> {
    const { port } = this.options;
    const object = (await port.read()) ?? (await port.create());
    const status = object.status;
    this.generation = object.metadata.generation ?? 0;
    this.uid = object.metadata.uid;
    this.conditions = (status?.conditions ?? []).filter((condition) => OWN_CONDITIONS.has(condition.type));
    this.link = linkOf(status);
    if ((status?.observedGeneration ?? -1) === this.generation) this.written = this.content();
    return this.link;
  }

  remember(change: LinkStatus): void {
    this.link = { ...this.link, ...change };
    this.schedule();
  }
  condition(input: ConditionInput): void {
    this.conditions = setCondition(this.conditions, input, this.generation, this.options.now());
    this.schedule();
  }
  clear(type: ConditionType): void {
    this.conditions = withoutCondition(this.conditions, type);
    this.schedule();
  }
  /** The spec changed: conditions speak about the new generation. Or it is another object, which knows nothing yet. */
  observed({ uid, generation = 0 }: ObjectMeta): void {
    if (uid !== this.uid) this.written = '';
    else if (generation === this.generation) return;
    this.uid = uid;
    this.generation = generation;
    this.conditions = this.conditions.map((condition) => ({ ...condition, observedGeneration: generation }));
    this.schedule();
  }

  /** Writes what is pending and stops; an API server that does not answer does not hold the exit up. */
  async stop(timeoutMs = 3_000): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, timeoutMs);
    });
    await Promise.race([this.writing.then(() => this.write()), deadline]);
    clearTimeout(timer);
  }

  private schedule(delayMs = this.options.coalesceMs ?? COALESCE_MS): void {
    if (this.timer || this.stopped || this.content() === this.written) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      // One after the other: an older write that is slow must not land last.
      this.writing = this.writing
        .then(() => this.write())
        .then((ok) => this.schedule(ok ? undefined : RETRY_MS));
    }, delayMs);
    this.timer.unref();
  }

  private async write(): Promise<boolean> {
    const content = this.content();
    if (content === this.written) return true;
    try {
      await this.options.port.applyStatus({
        apiVersion: API_VERSION,
        kind: 'DataPlane',
        metadata: { name: DATA_PLANE_NAME },
        status: JSON.parse(content),
      });
      this.written = content;
      return true;
    } catch (error) {
      this.options.log.warn(
        { err: error },
        'status of the DataPlane could not be written; it is tried again',
      );
      return false;
    }
  }

  private content(): string {
    return canonicalJson({ observedGeneration: this.generation, ...this.link, conditions: this.conditions });
  }
}

const OWN_CONDITIONS = new Set<string>(['Joined', 'FeedConnected', 'DeletionBlocked', 'RowsRefused']);

function linkOf(status: DataPlaneStatus | undefined): LinkStatus {
  return Object.fromEntries(
    LINK_FIELDS.filter((name) => status?.[name] !== undefined).map((name) => [name, status?.[name]]),
  );
}
