import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, closeSync, constants, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { identify, type ProcessIdentity } from './identity.ts';

export interface ChildSpec {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly logPath: string;
  readonly cwd?: string;
  /** The complete environment of the child, not an addition to ours. */
  readonly env: Readonly<Record<string, string>>;
}

export interface ExitInfo {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** One process we own: its log, its end, and the faults a test may inject. */
export interface SupervisedChild {
  readonly name: string;
  readonly logPath: string;
  readonly pid: number | undefined;
  readonly running: boolean;
  readonly lastExit: ExitInfo | undefined;
  identity(): ProcessIdentity | undefined;
  /** Freezes the whole process group (SIGSTOP); it stays connected and answers nothing. */
  pause(): void;
  resume(): void;
  /** Kills the group at once and returns when the process is gone. */
  kill(signal?: NodeJS.Signals): Promise<ExitInfo>;
  /** Starts it again with the same arguments, stopping it first if it runs. */
  restart(): Promise<void>;
  /** SIGTERM, then SIGKILL after `timeoutMs`. Safe to call twice. */
  stop(timeoutMs?: number): Promise<void>;
}

const setprivPath =
  process.platform === 'linux' ? firstExecutable(['/usr/bin/setpriv', '/bin/setpriv']) : undefined;
const liveGroups = new Set<number>();
let exitHookInstalled = false;

export interface ChildEvents {
  /** After every start, the first included: the pid is new. */
  readonly onStart?: () => void;
  /** The process ended and nobody asked it to. */
  readonly onExit?: (exit: ExitInfo) => void;
}

export function startChild(spec: ChildSpec, events: ChildEvents = {}): SupervisedChild {
  let current = launch(spec, events);

  const signalGroup = (signal: NodeJS.Signals) => {
    const pid = current.process.pid;
    if (pid === undefined || current.exit !== undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // ESRCH: it ended between the check and the signal; `exited` resolves by itself.
    }
  };

  const child: SupervisedChild = {
    name: spec.name,
    logPath: spec.logPath,
    get pid() {
      return current.exit === undefined ? current.process.pid : undefined;
    },
    get running() {
      return current.exit === undefined;
    },
    get lastExit() {
      return current.exit;
    },
    identity: () => (current.process.pid === undefined ? undefined : identify(current.process.pid)),
    pause: () => signalGroup('SIGSTOP'),
    resume: () => signalGroup('SIGCONT'),
    async kill(signal = 'SIGKILL') {
      current.expected = true;
      signalGroup(signal);
      return current.exited;
    },
    async restart() {
      await child.stop();
      current = launch(spec, events);
      events.onStart?.();
    },
    async stop(timeoutMs = 5_000) {
      current.expected = true;
      signalGroup('SIGCONT');
      signalGroup('SIGTERM');
      const timer = setTimeout(() => signalGroup('SIGKILL'), timeoutMs);
      await current.exited;
      clearTimeout(timer);
    },
  };
  // Later, so that the caller has its handle when it hears of the start.
  queueMicrotask(() => events.onStart?.());
  return child;
}

interface Running {
  readonly process: ChildProcess;
  readonly exited: Promise<ExitInfo>;
  exit: ExitInfo | undefined;
  /** True once we asked for the end, so that only surprises reach `onExit`. */
  expected: boolean;
}

/** A command line whose process the kernel kills when we die, however we die; where there is no setpriv it stays as it is. */
export const endsWithUs = (command: string, args: readonly string[]): [string, readonly string[]] =>
  setprivPath === undefined
    ? [command, args]
    : [setprivPath, ['--pdeathsig', 'KILL', '--', command, ...args]];

function launch(spec: ChildSpec, events: ChildEvents): Running {
  mkdirSync(dirname(spec.logPath), { recursive: true });
  const log = openSync(spec.logPath, 'a');
  // Without setpriv (macOS) the record on disk ends it.
  const childProcess = spawn(...endsWithUs(spec.command, spec.args), {
    stdio: ['ignore', log, log],
    env: spec.env,
    ...(spec.cwd === undefined ? {} : { cwd: spec.cwd }),
    // Own process group: Ctrl-C in a terminal reaches only us, and we stop things in order.
    detached: true,
  });
  closeSync(log);
  installExitHook();
  const { promise, resolve } = Promise.withResolvers<ExitInfo>();
  const running: Running = { process: childProcess, exited: promise, exit: undefined, expected: false };
  const pid = childProcess.pid;
  if (pid !== undefined) liveGroups.add(pid);
  const end = (exit: ExitInfo) => {
    if (running.exit !== undefined) return;
    running.exit = exit;
    if (pid !== undefined) liveGroups.delete(pid);
    resolve(exit);
    if (!running.expected) events.onExit?.(exit);
  };
  childProcess.once('exit', (code, signal) => end({ code, signal }));
  childProcess.once('error', () => end({ code: 127, signal: null }));
  return running;
}

function installExitHook(): void {
  if (exitHookInstalled) return;
  exitHookInstalled = true;
  process.on('exit', () => {
    for (const pid of liveGroups) {
      try {
        process.kill(-pid, 'SIGKILL');
      } catch {
        // Already gone.
      }
    }
  });
}

function firstExecutable(paths: readonly string[]): string | undefined {
  return paths.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
