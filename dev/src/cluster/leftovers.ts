import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, rmdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isAlive, killIfSame, type ProcessIdentity } from '../process/identity.ts';

/** Everything of one cluster that outlives a killed parent. */
export interface Leftovers {
  readonly processes?: readonly ProcessIdentity[];
  /** Their routes go with them. */
  readonly links?: readonly string[];
  /** Absolute folders under /sys/fs/cgroup. */
  readonly cgroups?: readonly string[];
  readonly folders?: readonly string[];
}

const cgroupRemovalMs = 5_000;

/** Processes first: a cgroup or a mount cannot go while a process is in it. Absence of anything is fine. */
export async function cleanLeftovers(leftovers: Leftovers): Promise<void> {
  for (const identity of leftovers.processes ?? []) killIfSame(identity);
  const deadline = performance.now() + cgroupRemovalMs;
  while ((leftovers.processes ?? []).some(isAlive) && performance.now() < deadline) await delay(20);
  for (const link of leftovers.links ?? []) quietly('ip', ['link', 'del', link]);
  while (!(leftovers.cgroups ?? []).map(removeCgroup).every(Boolean) && performance.now() < deadline)
    await delay(50);
  for (const folder of leftovers.folders ?? []) rmSync(folder, { recursive: true, force: true });
}

/** Removes a cgroup with its children, deepest first. False while the kernel still counts a dying process in it. */
function removeCgroup(path: string): boolean {
  if (!existsSync(path)) return true;
  try {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (entry.isDirectory()) removeCgroup(join(path, entry.name));
    }
    rmdirSync(path);
    return true;
  } catch {
    return !existsSync(path);
  }
}

function quietly(command: string, args: readonly string[]): void {
  try {
    execFileSync(command, args, { stdio: 'ignore' });
  } catch {
    // Already gone, with the namespace of its other end.
  }
}
