import { type ChildProcess, spawn } from 'node:child_process';

/** Functions of another process, called by name. Arguments and results are plain data. */
export type Methods = Record<string, (argument: never) => unknown>;
type Argument<M> = M extends (argument: infer A) => unknown ? A : never;
type Result<M> = M extends (argument: never) => infer R ? Awaited<R> : never;

export interface Remote<M extends Methods> {
  call<K extends keyof M & string>(name: K, argument: Argument<M[K]>): Promise<Result<M[K]>>;
  stop(): Promise<void>;
}

interface Call {
  id: number;
  name: string;
  argument: unknown;
}
interface Reply {
  id: number;
  result?: unknown;
  error?: string;
}

/** Answers the calls of the process that started this one, and ends with it. */
export function serve(methods: Methods): void {
  process.on('message', async ({ id, name, argument }: Call) => {
    const reply: Reply = await Promise.resolve()
      .then(() => methods[name]!(argument as never))
      .then(
        (result) => ({ id, result }),
        (error: Error) => ({ id, error: error.stack ?? error.message }),
      );
    process.send?.(reply);
  });
  process.on('disconnect', () => process.exit(0));
}

/** Starts a program that serves. As many files as it may open: each agent is a socket. */
export function startRemote<M extends Methods>(program: string): Remote<M> {
  const child: ChildProcess = spawn(
    'sh',
    ['-c', 'ulimit -n "$(ulimit -Hn)"; exec "$0" --max-semi-space-size=16 "$1"', process.execPath, program],
    { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
  );
  const waiting = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  let last = 0;
  child.on('message', ({ id, result, error }: Reply) => {
    const call = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) call?.resolve(result);
    else call?.reject(new Error(error));
  });
  void exited.then(() => {
    for (const { reject } of waiting.values()) reject(new Error(`${program} ended`));
  });
  return {
    call: (name, argument) =>
      new Promise((resolve, reject) => {
        last += 1;
        waiting.set(last, { resolve: resolve as (result: unknown) => void, reject });
        child.send({ id: last, name, argument } satisfies Call);
      }),
    stop: async () => {
      if (child.connected) child.disconnect();
      await exited;
    },
  };
}
