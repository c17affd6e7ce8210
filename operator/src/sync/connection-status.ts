import type { ConditionInput, Reason } from '@felucca/contract';

/** A lost connection is said in the status only if it does not come back within this time, unless only a person can help. */
const GRACE_MS = 5_000;

/** Of losses that only a person can end. */
const REASON_OF: Readonly<Record<string, Reason>> = {
  superseded: 'Superseded',
  revoked: 'CredentialRefused',
  http_401: 'CredentialRefused',
};

interface Loss {
  why: string;
  message: string;
}

/** What the DataPlane's status says of the feed's connection. */
export class ConnectionStatus {
  private readonly say: (condition: ConditionInput) => void;
  private readonly address: string;
  private loss: Loss | undefined;
  private isSaid = false;
  private timer: NodeJS.Timeout | undefined;

  /** @param address of the control plane, as it is configured */
  constructor(address: string, say: (condition: ConditionInput) => void) {
    this.address = address;
    this.say = say;
  }

  connected(): void {
    this.stop();
    this.loss = undefined;
    this.isSaid = false;
    this.say({
      type: 'FeedConnected',
      status: 'True',
      reason: 'Connected',
      message: 'desired state arrives from the control plane',
    });
  }

  /** The first loss starts the time of grace; what is said is the newest. `halted`: it won't be tried again soon. */
  lost(loss: Loss, halted: boolean): void {
    this.loss = loss;
    if (halted || this.isSaid || REASON_OF[loss.why]) this.sayLost();
    else this.timer ??= setTimeout(() => this.sayLost(), GRACE_MS).unref();
  }

  stop(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  private sayLost(): void {
    this.stop();
    this.isSaid = true;
    const { why, message } = this.loss!;
    this.say({
      type: 'FeedConnected',
      status: 'False',
      reason: REASON_OF[why] ?? 'Disconnected',
      message: `${message}; the operator works on the last known state and keeps trying ${this.address}`,
    });
  }
}
