import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** A process by pid *and* start time, so that a recycled pid is never mistaken for ours. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Opaque; equal for the same process for as long as it lives. */
  readonly startedAt: string;
}

export function identify(pid: number): ProcessIdentity | undefined {
  const startedAt = process.platform === 'linux' ? startTimeFromProc(pid) : startTimeFromPs(pid);
  return startedAt === undefined ? undefined : { pid, startedAt };
}

export function isAlive(identity: ProcessIdentity): boolean {
  return identify(identity.pid)?.startedAt === identity.startedAt;
}

/** Kills with SIGKILL, the whole process group first, and only if it is still the same process. */
export function killIfSame(identity: ProcessIdentity): void {
  for (const target of [-identity.pid, identity.pid]) {
    if (!isAlive(identity)) return;
    try {
      process.kill(target, 'SIGKILL');
    } catch {
      // ESRCH: it is gone, or leads no group of its own.
    }
  }
}

// Field 22 of /proc/<pid>/stat; the command name in field 2 may itself hold spaces and parentheses.
function startTimeFromProc(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const zombie = fields[0] === 'Z' || fields[0] === 'X';
    return zombie ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

function startTimeFromPs(pid: number): string | undefined {
  try {
    const started = execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim();
    return started === '' ? undefined : started;
  } catch {
    return undefined;
  }
}
