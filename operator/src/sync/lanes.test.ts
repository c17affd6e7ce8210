import { describe, expect, it } from 'vitest';
import { type LaneOutcome, Lanes } from './lanes.ts';

const gate = () => {
  let open: (outcome: LaneOutcome) => void = () => {};
  const outcome = new Promise<LaneOutcome>((resolve) => {
    open = resolve;
  });
  return { job: { run: () => outcome }, open };
};
const surprises: unknown[] = [];
const lanes = (concurrency: number): Lanes => new Lanes(concurrency, (_, error) => surprises.push(error));

describe('lanes', () => {
  it('run one job of a name at a time and keep only the newest that waits', async () => {
    const under = lanes(4);
    const ran: string[] = [];
    const noting = (name: string) => ({
      run: async (): Promise<LaneOutcome> => {
        ran.push(name);
        return 'done';
      },
    });
    const first = gate();
    const all = [
      under.submit('a', first.job),
      under.submit('a', noting('second')),
      under.submit('a', noting('third')),
    ];
    first.open('done');
    await Promise.all(all);
    expect(ran).toEqual(['third']);
    expect(under.depth).toBe(0);
  });

  it('bound how many names run side by side', async () => {
    const under = lanes(2);
    let running = 0;
    let most = 0;
    const job = {
      run: async (): Promise<LaneOutcome> => {
        running += 1;
        most = Math.max(most, running);
        await new Promise((resolve) => setImmediate(resolve));
        running -= 1;
        return 'done';
      },
    };
    await Promise.all(Array.from({ length: 20 }, (_, index) => under.submit(`n${index}`, job)));
    expect(most).toBe(2);
  });

  it('settle a job that goes on in the background, and try it again', async () => {
    const under = lanes(1);
    let attempts = 0;
    const finished = new Promise<void>((resolve) => {
      void under.submit('a', {
        run: async (attempt) => {
          attempts = attempt + 1;
          if (attempt < 2) return { retryInMs: 1, settled: attempt === 0 };
          resolve();
          return 'done';
        },
      });
    });
    await under.idle();
    expect(attempts).toBe(1);
    await finished;
    expect(attempts).toBe(3);
  });

  it('let a newer job interrupt the pause of an older one', async () => {
    const under = lanes(1);
    const old = under.submit('a', { run: async () => ({ retryInMs: 60_000, settled: false }) });
    await new Promise((resolve) => setImmediate(resolve));
    await Promise.all([old, under.submit('a', { run: async () => 'done' })]);
    expect(under.busy('a')).toBe(false);
  });

  it('wake a reader that waits for room whoever submitted the job that made it', async () => {
    const under = lanes(4);
    const gates = [gate(), gate()];
    for (const [index, { job }] of gates.entries()) void under.submit(`restore-${index}`, job);
    let room = false;
    const waiting = under.room(2).then(() => {
      room = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(room).toBe(false);
    gates[0]!.open('done');
    await waiting;
    gates[1]!.open('done');
    await under.room(1);
  });

  it('survive a job that throws, and nobody waits for it', async () => {
    const under = lanes(1);
    void under.submit('a', {
      run: () => Promise.reject(new Error('surprise')),
    });
    await under.submit('b', { run: async () => 'done' });
    await under.idle();
    expect(surprises).toHaveLength(1);
    under.stop();
  });
});
