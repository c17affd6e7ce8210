import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { cacheDirectory } from '../binaries/cache.ts';
import { identify, isAlive, type ProcessIdentity } from '../process/identity.ts';
import { withLock } from '../process/lock.ts';
import { portHolder } from '../process/port-holder.ts';
import { replaceFile } from '../process/replace-file.ts';
import { cleanLeftovers, type Leftovers } from './leftovers.ts';

/** A number that no other cluster on this machine has: its ports, subnets and kernel object names follow from it. */
export interface Slot {
  readonly number: number;
  readonly ports: { apiServer: number; etcdClient: number; etcdPeer: number; secondApiServer: number };
  /** The /24 between the host and the nodes, the /21 of pods (a /24 per node), the /16 of ClusterIPs. */
  readonly network: { prefix: string; gateway: string; podBase: number; services: string };
  /** Short: Linux allows 15 characters for a link. */
  readonly kernelPrefix: string;
  /** Notes on disk what a later start must remove if we die. */
  record(change: Partial<Leftovers>): void;
  release(keepReservation: boolean): Promise<void>;
}

interface SlotFile {
  readonly slot: number;
  readonly name: string;
  readonly stateDir: string;
  readonly owner: ProcessIdentity;
  /** A persistent cluster keeps its numbers, since stored Services and certificates hold addresses. */
  readonly reserved: boolean;
  readonly leftovers: Leftovers;
}

const slotCount = 32;
const firstPort = 21_000;
const portsPerSlot = 8;

export async function claimSlot(name: string, stateDir: string, persistent: boolean): Promise<Slot> {
  const directory = join(cacheDirectory(), 'run', 'slots');
  mkdirSync(directory, { recursive: true });
  const path = (slot: number) => join(directory, `${slot}.json`);
  return withLock(
    slotLockPath(),
    { timeoutMs: 60_000, purpose: `choose addresses for cluster ${name}` },
    async () => {
      const taken = await cleanDeadSlots(directory);
      const mine = taken.find((file) => file.stateDir === stateDir);
      if (mine !== undefined && isAlive(mine.owner)) {
        throw new Error(
          `Cluster ${name} already runs (pid ${mine.owner.pid}, state in ${stateDir}); stop it first`,
        );
      }
      const numbers =
        mine !== undefined ? [mine.slot] : Array.from({ length: slotCount }, (_, index) => index);
      for (const number of numbers) {
        if (mine === undefined && taken.some((file) => file.slot === number)) continue;
        if (!(await isFree(number))) continue;
        return openSlot(path(number), {
          slot: number,
          name,
          stateDir,
          owner: self(),
          reserved: persistent,
          leftovers: {},
        });
      }
      throw new Error(
        mine === undefined
          ? `All ${slotCount} address ranges for local clusters are in use; see ${directory}`
          : `Cluster ${name} keeps its addresses, and something else on this machine uses them now: ` +
              `${await usersOf(mine.slot)}. Stop that and start again: everything in ${stateDir} is kept. ` +
              'Another name (NAME=<other> make up) gets other addresses.',
      );
    },
  );
}

/** Removes what clusters of dead processes left behind. Every start does this; call it to do only this. */
export async function cleanStaleClusters(): Promise<void> {
  const directory = join(cacheDirectory(), 'run', 'slots');
  mkdirSync(directory, { recursive: true });
  await withLock(slotLockPath(), { timeoutMs: 60_000, purpose: 'clean after dead clusters' }, () =>
    cleanDeadSlots(directory),
  );
}

function slotLockPath(): string {
  return join(cacheDirectory(), 'run', 'slots.lock');
}

async function cleanDeadSlots(directory: string): Promise<SlotFile[]> {
  const kept: SlotFile[] = [];
  for (const entry of readdirSync(directory).filter((file) => file.endsWith('.json'))) {
    const path = join(directory, entry);
    const file = readSlotFile(path);
    if (file === undefined) {
      rmSync(path, { force: true });
      continue;
    }
    if (isAlive(file.owner)) {
      kept.push(file);
      continue;
    }
    await cleanLeftovers(file.leftovers);
    if (file.reserved && stateExists(file.stateDir)) {
      replaceFile(path, JSON.stringify({ ...file, leftovers: {} }, null, 2));
      kept.push(file);
    } else {
      rmSync(path, { force: true });
    }
  }
  return kept;
}

function readSlotFile(path: string): SlotFile | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as SlotFile;
  } catch {
    return undefined;
  }
}

function stateExists(stateDir: string): boolean {
  try {
    return readdirSync(stateDir).length > 0;
  } catch {
    return false;
  }
}

function openSlot(path: string, initial: SlotFile): Slot {
  let file = initial;
  // Others read it at any time, and what they can't read counts as nobody's.
  const write = () => replaceFile(path, JSON.stringify(file, null, 2));
  write();
  const number = file.slot;
  return {
    number,
    ports: portsOf(number),
    network: networkOf(number),
    kernelPrefix: kernelPrefixOf(number),
    record(change) {
      file = { ...file, leftovers: { ...file.leftovers, ...change } };
      write();
    },
    async release(keepReservation) {
      await withLock(slotLockPath(), { timeoutMs: 60_000, purpose: 'give addresses back' }, async () => {
        await cleanLeftovers(file.leftovers);
        // The record keeps the range for the next start; a pid of 0 never lives.
        file = { ...file, leftovers: {}, owner: { pid: 0, startedAt: '' } };
        if (keepReservation) write();
        else rmSync(path, { force: true });
      });
    },
  };
}

function self(): ProcessIdentity {
  const identity = identify(process.pid);
  if (identity === undefined) throw new Error('Cannot read the start time of this process');
  return identity;
}

function portsOf(slot: number): Slot['ports'] {
  const base = firstPort + slot * portsPerSlot;
  return { apiServer: base, etcdClient: base + 1, etcdPeer: base + 2, secondApiServer: base + 3 };
}

function networkOf(slot: number): Slot['network'] {
  const prefix = `10.210.${slot}`;
  return { prefix, gateway: `${prefix}.1`, podBase: slot * 8, services: `10.${160 + slot}.0.0/16` };
}

function kernelPrefixOf(slot: number): string {
  return `flc${slot}`;
}

/** In the way of a range; its ports by who holds them. */
async function usersOf(slot: number): Promise<string> {
  const users: string[] = [];
  for (const port of Object.values(portsOf(slot)))
    if (!(await portIsFree(port)))
      users.push(`port ${port}, ${portHolder(port) ?? 'by a process of another user'}`);
  if (users.length === 0)
    users.push(`a link ${kernelPrefixOf(slot)}br or a route to ${networkOf(slot).prefix}.0/24`);
  return users.join('; ');
}

async function isFree(slot: number): Promise<boolean> {
  if (Object.keys(networkInterfaces()).some((link) => link.startsWith(`${kernelPrefixOf(slot)}br`)))
    return false;
  if (process.platform === 'linux' && rangeIsRouted(slot)) return false;
  for (const port of Object.values(portsOf(slot))) if (!(await portIsFree(port))) return false;
  return true;
}

function rangeIsRouted(slot: number): boolean {
  try {
    const routes = execFileSync('ip', ['-4', 'route'], { encoding: 'utf8' });
    return routes.includes(`${networkOf(slot).prefix}.`) || routes.includes(`10.${160 + slot}.0.0`);
  } catch {
    return false;
  }
}

function portIsFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });
}
