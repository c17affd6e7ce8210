import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Answer, Request } from '@felucca/bench/agents/http';
import type { Lines } from '@felucca/bench/agents/lines';
import type { Account } from './account.ts';

const INSTANCES_PER_TENANT = 40;
/** Of one change that nobody acknowledges; the control plane is never away for so long. */
const MAX_ATTEMPTS = 600;

export interface Books {
  readonly accounts: Account[];
  acknowledged: number;
  /** Answers from the store of an earlier attempt: its effect was there, its answer lost. */
  replayed: number;
  /** Attempts without an acknowledgement, by what came instead. */
  readonly failed: Record<string, number>;
}

export interface Home {
  organization: string;
  dataPlane: string;
}

/**
 * One tenant that orders, changes and deletes, one thing after the other, until all of them together have been told of so many
 * changes. A change that is not acknowledged is sent again under its key until it is: then it must have happened once.
 */
export class Tenant {
  private readonly lines: Lines;
  private readonly key: string;
  private readonly books: Books;
  private readonly homes: readonly Home[];
  private readonly random: () => number;
  private readonly number: number;
  private own: Account[] = [];
  private made = 0;

  constructor(
    number: number,
    shared: { lines: Lines; key: string; books: Books; homes: readonly Home[]; random: () => number },
  ) {
    this.number = number;
    this.lines = shared.lines;
    this.key = shared.key;
    this.books = shared.books;
    this.homes = shared.homes;
    this.random = shared.random;
  }

  async run(until: number): Promise<void> {
    while (this.books.acknowledged < until) {
      const account = this.own[Math.floor(this.random() * INSTANCES_PER_TENANT)];
      if (!account) await this.order();
      else await this.change(account);
    }
  }

  private async order(): Promise<void> {
    this.made += 1;
    const { organization, dataPlane } = this.homes[Math.floor(this.random() * this.homes.length)]!;
    const name = `t${this.number}-${this.made}`;
    const parameters = { text: name };
    const body = { name, dataPlane, blueprint: 'bench', version: '1.0.0', parameters };
    const path = `/v1/organizations/${organization}/instances`;
    const answer = await this.acknowledged('POST', path, body);
    const account: Account = {
      ...{ name, organization, dataPlane, text: name, suspended: false, deleted: false },
      ...{ id: (JSON.parse(answer.body) as { id: string }).id, changes: 1 },
    };
    this.own.push(account);
    this.books.accounts.push(account);
  }

  private async change(account: Account): Promise<void> {
    const path = `/v1/organizations/${account.organization}/instances/${account.name}`;
    const draw = this.random();
    if (draw < 0.7) {
      account.text = `${account.name} ${account.changes}`;
      await this.acknowledged('PATCH', path, { parameters: { text: account.text } });
    } else if (draw < 0.9) {
      account.suspended = !account.suspended;
      await this.acknowledged('POST', `${path}/${account.suspended ? 'suspend' : 'resume'}`);
    } else {
      account.deleted = true;
      await this.acknowledged('DELETE', path);
      this.own = this.own.filter((one) => one !== account);
    }
    account.changes += 1;
  }

  private async acknowledged(method: Request['method'], path: string, body?: object): Promise<Answer> {
    const headers = {
      authorization: `Bearer ${this.key}`,
      'idempotency-key': randomUUID(),
      'if-match': '*',
    };
    const request = { method, path, headers, ...(body ? { body: JSON.stringify(body) } : {}) };
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
      const answer = await this.lines.call(() => request).catch((error: Error) => error);
      if (!(answer instanceof Error) && answer.status === 202) {
        this.books.acknowledged += 1;
        if (answer.headers.has('idempotent-replayed')) this.books.replayed += 1;
        return answer;
      }
      const what = answer instanceof Error ? 'no answer' : String(answer.status);
      if (!(answer instanceof Error) && answer.status < 500 && answer.status !== 429)
        throw new Error(`${method} ${path}: ${what} ${answer.body.slice(0, 500)}`);
      this.books.failed[what] = (this.books.failed[what] ?? 0) + 1;
      await delay(50 + 450 * this.random());
    }
    throw new Error(`${method} ${path} was not acknowledged in ${MAX_ATTEMPTS} attempts`);
  }
}
