import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { cacheDirectory } from '../src/binaries/cache.ts';
import { cleanStaleClusters } from '../src/index.ts';
import { waitUntil } from '../src/process/wait-until.ts';

const script = fileURLToPath(new URL('./start-and-wait.ts', import.meta.url));
const linux = process.platform === 'linux';
const root = process.getuid?.() === 0;

describe.skipIf(!linux)('kill -9 of the process that started a cluster', () => {
  test.skipIf(!root)(
    'leaves no process, link, route, cgroup, mount or folder of a cluster with real nodes',
    async () => {
      await killAndLookAround('nodes');
    },
  );

  test('leaves no process or folder of a bare cluster', async () => {
    await killAndLookAround('bare');
  });
});

async function killAndLookAround(provider: string): Promise<void> {
  const name = `test-crash-${provider}`;
  const child = spawn(process.execPath, [script, name, provider], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const { stateDir } = JSON.parse(line.toString()) as { stateDir: string };
  const prefix = `flc${slotOf(name)}`;
  expect(processesNaming(stateDir).length).toBeGreaterThan(2);
  child.kill('SIGKILL');
  await once(child, 'exit');

  await waitUntil('every process to end by itself', () => processesNaming(stateDir).length === 0, {
    timeoutMs: 5_000,
  });
  await cleanStaleClusters();
  expect(existsSync(stateDir)).toBe(false);
  expect(globSync(`/sys/fs/cgroup/*/${prefix}-*`)).toEqual([]);
  expect(globSync(`/sys/fs/cgroup/${prefix}-*`)).toEqual([]);
  expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(stateDir);
  if (root) {
    expect(execFileSync('ip', ['-br', 'link'], { encoding: 'utf8' })).not.toContain(`${prefix}n`);
    expect(execFileSync('ip', ['-4', 'route'], { encoding: 'utf8' })).not.toContain(`${prefix}br`);
  }
}

function slotOf(name: string): number {
  const directory = join(cacheDirectory(), 'run', 'slots');
  const slots = readdirSync(directory).filter((file) => file.endsWith('.json'));
  const files = slots.map(
    (file) => JSON.parse(readFileSync(join(directory, file), 'utf8')) as { name: string; slot: number },
  );
  return files.find((file) => file.name === name)!.slot;
}

/** Every process of the cluster names its folder: in its arguments, or (inside a node) in its environment. */
function processesNaming(stateDir: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return false;
    try {
      return ['cmdline', 'environ'].some((file) =>
        readFileSync(`/proc/${pid}/${file}`, 'latin1').includes(`${stateDir}/`),
      );
    } catch {
      return false;
    }
  });
}
