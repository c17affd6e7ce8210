import type { Reason } from '@felucca/contract';
import type { LinkStatus } from '../reconcilers/data-plane/status.ts';
import { backoffWindow, drawMs } from './backoff.ts';
import { ensureJoined, type Identity, type JoinFailure } from './identity.ts';
import { type LinkOptions, RunningLink } from './running-link.ts';

/** For what is under way when the operator becomes another. */
const STOP_MS = 10_000;

const REASON_OF: Readonly<Record<JoinFailure['failure'], Reason>> = {
  noToken: 'JoinTokenMissing',
  refused: 'JoinRefused',
  unreachable: 'Disconnected',
  identity: 'IdentityUnusable',
};

/** Everything between the control plane and the cluster's CRs; runs on the leader only. */
export class Link {
  private readonly options: LinkOptions;
  private running: RunningLink | undefined;
  private stopped = false;
  /** What was logged last of a token or an identity that is of no use. */
  private warned = '';
  private wake: (() => void) | undefined;

  constructor(options: LinkOptions) {
    this.options = options;
  }

  /** Resolves when the feed has been started; joins first, for as long as that takes. */
  async start(): Promise<void> {
    const remembered = await this.introduce();
    const identity = await this.joined();
    if (!identity) return;
    await this.run(identity, remembered);
    if (identity.newToken?.failure === 'unreachable') void this.joinLater(identity);
  }

  /** @returns what the status remembers of the link */
  private async introduce(): Promise<LinkStatus> {
    const { status, instance, operatorVersion } = this.options;
    const remembered = await status.load();
    status.remember({ holder: instance, operatorVersion });
    return remembered;
  }

  private async run(identity: Identity, remembered: LinkStatus): Promise<void> {
    // stop() ends only the link that it finds, and whoever has the Lease next writes by then.
    if (this.stopped) return;
    const { status } = this.options;
    this.sayJoined(identity);
    // A cluster that joined another data plane starts from nothing; its objects are compared, not trusted.
    const known = remembered.dataPlaneId === identity.dataPlaneId ? remembered : {};
    status.remember({ dataPlaneId: identity.dataPlaneId });
    this.running = new RunningLink(this.options, identity);
    await this.running.start({ epoch: known.epoch ?? '', cursor: known.cursor ?? '0' });
  }

  async stop(timeoutMs: number): Promise<void> {
    this.stopped = true;
    this.wake?.();
    await this.running?.stop(timeoutMs);
    await this.options.status.stop();
  }

  /** The control plane did not answer when the process started: it may have taken the token all the same. */
  private async joinLater(former: Identity): Promise<void> {
    for (let attempt = 0; !this.stopped; attempt += 1) {
      await this.pause(drawMs(backoffWindow(attempt), this.options.random) + 200);
      if (this.stopped) return;
      const result = await this.tryToJoin();
      if ('failure' in result) {
        this.warn(result);
        continue;
      }
      if (result.keyId !== former.keyId) {
        if (await this.becomes(result)) return;
        continue;
      }
      this.sayJoined(result);
      if (result.newToken?.failure !== 'unreachable') return;
    }
  }

  /** @returns false when the cluster did not answer: there is no link until the next attempt */
  private async becomes(identity: Identity): Promise<boolean> {
    try {
      await this.running?.stop(STOP_MS);
      this.running = undefined;
      await this.run(identity, await this.introduce());
      return true;
    } catch (error) {
      this.options.log.warn({ err: error }, 'the link of the new key could not start; it is tried again');
      return false;
    }
  }

  private tryToJoin(): Promise<Identity | JoinFailure> {
    const { api, identityStore: store, joinToken: token, instance, operatorVersion, log } = this.options;
    return ensureJoined({ store, api, token, instance, operatorVersion, log }).catch(
      (error: Error): JoinFailure => ({ failure: 'identity', message: error.message }),
    );
  }

  private async joined(): Promise<Identity | undefined> {
    for (let attempt = 0; !this.stopped; attempt += 1) {
      const result = await this.tryToJoin();
      if (!('failure' in result)) return result;
      this.warn(result);
      this.sayNotJoined(result);
      await this.pause(drawMs(backoffWindow(attempt), this.options.random) + 200);
    }
    return undefined;
  }

  /** Whoever has joined stays joined; of a new token that is of no use so far people learn here. */
  private sayJoined({ dataPlaneName, newToken }: Identity): void {
    if (newToken) this.warn(newToken);
    const isRefused = newToken?.failure === 'refused';
    const goesOn = isRefused ? 'goes on with the key that it has' : 'a new join token waits';
    this.options.status.condition({
      type: 'Joined',
      status: 'True',
      reason: 'Connected',
      message: `joined as data plane ${dataPlaneName}${newToken ? `; ${goesOn}: ${newToken.message}` : ''}`,
    });
  }

  private warn({ failure, message }: JoinFailure): void {
    if (message !== this.warned) this.options.log.warn({ failure }, message);
    this.warned = message;
  }

  private sayNotJoined({ failure, message }: JoinFailure): void {
    const reason = REASON_OF[failure];
    const { status } = this.options;
    // An earlier process may have left word of a connection that there is not.
    for (const type of ['Joined', 'FeedConnected'] as const)
      status.condition({ type, status: 'False', reason, message });
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      timer.unref();
      this.wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
