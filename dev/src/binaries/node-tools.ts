import { execFile } from 'node:child_process';
import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { withLock } from '../process/lock.ts';
import { cacheDirectory } from './cache.ts';

const run = promisify(execFile);

/** Programs of the operating system that a real node needs, with the folders to find them and their libraries. */
export interface NodeTools {
  readonly runc: string;
  /** A statically linked busybox: the pause container and a small test image are made of it. */
  readonly busybox: string;
  /** To put in front of PATH inside a node; holds nft. */
  readonly programDirectories: readonly string[];
  /** Shared libraries unpacked beside the programs; empty when the machine's own programs are used. */
  readonly libraryDirectories: readonly string[];
}

// Libraries are listed too: `apt-get download` fetches no dependencies, and unpacking installs nothing.
const packages = ['runc', 'nftables', 'busybox-static'];
const libraries = [
  'libnftables1',
  'libnftnl11',
  'libmnl0',
  'libxtables12',
  'libjansson4',
  'libedit2',
  'libbsd0',
].concat(['libmd0', 'libgmp10', 'libtinfo6', 'libseccomp2']);
const fetchTimeoutMs = 120_000;

/** From PATH where the machine has all of them, else unpacked (not installed) from its Debian mirror into the cache. */
export async function resolveNodeTools(onProgress: (line: string) => void = () => {}): Promise<NodeTools> {
  return fromMachine() ?? fromFolder(await unpackedPackages(onProgress));
}

function fromMachine(): NodeTools | undefined {
  const runc = onPath('runc');
  const nft = onPath('nft');
  const busybox = ['busybox.static', 'busybox']
    .map(onPath)
    .find((path) => path !== undefined && isStatic(path));
  if (runc === undefined || nft === undefined || busybox === undefined) return undefined;
  return { runc, busybox, programDirectories: [join(nft, '..')], libraryDirectories: [] };
}

function fromFolder(root: string): NodeTools {
  const first = (name: string) => {
    const found = ['usr/sbin', 'usr/bin', 'sbin', 'bin']
      .map((part) => join(root, part, name))
      .find(existsSync);
    if (found === undefined)
      throw new Error(`${name} is missing in ${root}; remove that folder to fetch it again`);
    return found;
  };
  return {
    runc: first('runc'),
    busybox: first('busybox'),
    programDirectories: ['usr/sbin', 'usr/bin', 'sbin', 'bin']
      .map((part) => join(root, part))
      .filter(existsSync),
    libraryDirectories: ['usr/lib', 'lib'].flatMap((part) => multiarch(join(root, part))),
  };
}

async function unpackedPackages(onProgress: (line: string) => void): Promise<string> {
  const target = join(cacheDirectory(), 'bin', `debian-${debianRelease()}-${process.arch}`);
  if (existsSync(target)) return target;
  const lock = join(cacheDirectory(), 'bin', 'node-tools.lock');
  await withLock(
    lock,
    { timeoutMs: 2 * fetchTimeoutMs, purpose: 'unpack runc, nft and busybox' },
    async () => {
      if (existsSync(target)) return;
      onProgress(
        `fetching ${packages.join(', ')} as Debian packages (unpacked into ${target}, not installed)`,
      );
      const work = `${target}.${process.pid}`;
      rmSync(work, { recursive: true, force: true });
      try {
        await downloadAndUnpack(work);
        renameSync(work, target);
      } catch (error) {
        rmSync(work, { recursive: true, force: true });
        throw new Error(
          `Real nodes need runc, nft and a static busybox. Install them (packages runc, nftables, busybox-static), ` +
            `or use another provider. Fetching them failed: ${error instanceof Error ? error.message : String(error)}`,
        );
      }
    },
  );
  return target;
}

async function downloadAndUnpack(work: string): Promise<void> {
  const archives = join(work, 'archives');
  mkdirSync(archives, { recursive: true });
  const download = (names: readonly string[]) =>
    run('apt-get', ['download', '-qq', '-o', 'APT::Sandbox::User=root', ...names], {
      cwd: archives,
      timeout: fetchTimeoutMs,
    });
  await download(packages).catch(async () => {
    await run('apt-get', ['update', '-qq'], { timeout: fetchTimeoutMs });
    await download(packages);
  });
  // A release may lack one of them (merged or renamed); what matters is checked by running the programs.
  for (const library of libraries) await download([library]).catch(() => {});
  for (const archive of readdirSync(archives)) {
    await run('dpkg-deb', ['-x', join(archives, archive), work], { timeout: fetchTimeoutMs });
  }
  rmSync(archives, { recursive: true });
  writeFileSync(
    join(work, 'README'),
    'Unpacked Debian packages for the nodes of local clusters. Safe to delete.\n',
  );
}

function multiarch(directory: string): string[] {
  if (!existsSync(directory)) return [];
  const entries = readdirSync(directory, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory() && entry.name.includes('-linux-'))
    .map((entry) => join(directory, entry.name));
}

function onPath(name: string): string | undefined {
  const directories = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return directories
    .map((directory) => join(directory, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

// A dynamically linked ELF file names its loader near its start.
function isStatic(path: string): boolean {
  return !/ld-(linux|musl)/.test(readFileSync(path).subarray(0, 4096).toString('latin1'));
}

function debianRelease(): string {
  try {
    return /^VERSION_CODENAME=(\S+)/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1] ?? 'unknown';
  } catch {
    return 'unknown';
  }
}
