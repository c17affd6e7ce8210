import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { cacheDirectory } from '../binaries/cache.ts';
import { resolveNodeTools } from '../binaries/node-tools.ts';

const run = promisify(execFile);
const applets = [
  'sh',
  'sleep',
  'cat',
  'echo',
  'ls',
  'id',
  'httpd',
  'nc',
  'hostname',
  'touch',
  'rm',
  'true',
  'false',
  'env',
  'grep',
  'test',
];

export interface BusyboxImage {
  readonly reference: string;
  readonly command: readonly string[];
}

/** Sandbox container: sleeps. It ignores SIGTERM as process 1, and containerd removes sandboxes with SIGKILL anyway. */
export const pauseImage: BusyboxImage = {
  reference: 'localhost/felucca/pause:1',
  command: ['/bin/busybox', 'sleep', '2147483647'],
};

/** A shell and `httpd` in 2 MB, for tests. Serves /tmp on port 8080. */
export const busyboxImage: BusyboxImage = {
  reference: 'localhost/felucca/busybox:1',
  command: ['/bin/sh', '-c', 'hostname > /tmp/index.html; exec httpd -f -p 8080 -h /tmp'],
};

/** Writes a docker archive of one layer holding a static busybox. Does nothing if `archive` exists. */
export async function writeBusyboxArchive(
  image: BusyboxImage,
  busybox: string,
  archive: string,
): Promise<string> {
  if (existsSync(archive)) return archive;
  const work = `${archive}.${process.pid}`;
  rmSync(work, { recursive: true, force: true });
  for (const folder of ['bin', 'tmp', 'etc']) mkdirSync(join(work, 'root', folder), { recursive: true });
  copyFileSync(busybox, join(work, 'root/bin/busybox'));
  for (const applet of applets) symlinkSync('busybox', join(work, 'root/bin', applet));
  writeFileSync(join(work, 'root/etc/passwd'), 'root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n');
  await tar(join(work, 'root'), join(work, 'layer.tar'), ['.']);
  const digest = createHash('sha256')
    .update(readFileSync(join(work, 'layer.tar')))
    .digest('hex');
  const config = {
    architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
    os: 'linux',
    config: { Env: ['PATH=/bin'], Cmd: image.command },
    rootfs: { type: 'layers', diff_ids: [`sha256:${digest}`] },
    history: [{ created_by: 'felucca' }],
  };
  writeFileSync(join(work, 'config.json'), JSON.stringify(config));
  const manifest = [{ Config: 'config.json', RepoTags: [image.reference], Layers: ['layer.tar'] }];
  writeFileSync(join(work, 'manifest.json'), JSON.stringify(manifest));
  await tar(work, join(work, 'image.tar'), ['manifest.json', 'config.json', 'layer.tar']);
  mkdirSync(dirname(archive), { recursive: true });
  renameSync(join(work, 'image.tar'), archive);
  rmSync(work, { recursive: true });
  return archive;
}

function tar(directory: string, output: string, entries: readonly string[]) {
  const reproducible = [
    '--sort=name',
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '--mtime=@0',
    '--mode=a+rX',
  ];
  return run('tar', [...reproducible, '-C', directory, '-cf', output, ...entries]);
}

/** The small test image as an archive in the cache, ready for `Cluster.loadImage`. */
export async function busyboxArchive(): Promise<{ reference: string; archive: string }> {
  const { busybox } = await resolveNodeTools();
  const archive = join(cacheDirectory(), 'images', 'busybox-1.tar');
  return {
    reference: busyboxImage.reference,
    archive: await writeBusyboxArchive(busyboxImage, busybox, archive),
  };
}
