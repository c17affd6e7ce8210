import { readdirSync, readFileSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { resolveNodeTools } from '../binaries/node-tools.ts';
import { packagedServer } from '../postgres/files.ts';
import type { ImageDefinition } from './archive.ts';
import { bundleProgram, NODE_FLAGS, type Program, repository } from './bundle.ts';
import { librariesOf } from './libraries.ts';
import type { TarEntry } from './tar.ts';

export const imageNames = ['control-api', 'operator', 'postgres', 'web'] as const;
export type ImageName = (typeof imageNames)[number];

const sources = join(repository, 'dev/images');
const applets = ['sh', 'cat', 'chmod', 'head', 'ls', 'mkdir', 'mv', 'nc', 'printf', 'rm', 'httpd'];

export async function defineImage(name: ImageName): Promise<ImageDefinition> {
  if (name === 'postgres') return postgresImage();
  if (name === 'web') return webImage();
  return programImage(name);
}

/** The pinned Node, the libraries it needs, the bundle. No shell, no package manager. */
async function programImage(program: Program): Promise<ImageDefinition> {
  const node = realpathSync(join(repository, 'node_modules/node/bin/node'));
  const bundle = await bundleProgram(program);
  const migrations: TarEntry[] =
    program === 'control-api' ? tree(join(repository, 'control-api/migrations'), 'app/migrations') : [];
  return {
    name: program,
    reference: `felucca/${program}:dev`,
    layers: [
      [
        ...accounts,
        ...librariesOf([node]),
        { path: 'usr/local/bin/node', mode: 0o755, file: node },
        { path: 'tmp', mode: 0o1777, folder: true },
      ],
      [...tree(dirname(bundle), `app/dist/${program}`), ...migrations],
    ],
    config: {
      User: '65532:65532',
      WorkingDir: '/app',
      Env: ['PATH=/usr/local/bin', 'NODE_ENV=production'],
      Entrypoint: ['/usr/local/bin/node', ...NODE_FLAGS[program], `/app/dist/${program}/main.mjs`],
    },
  };
}

/** The same server that `make up` embeds, with a shell to initialise its data folder. */
async function postgresImage(): Promise<ImageDefinition> {
  const native = packagedServer();
  const { busybox } = await resolveNodeTools();
  const needless = /\.a$|pkgconfig|pgxs|plperl|plpython|pltcl|libecpg/;
  const server = tree(native, 'usr/local/pgsql').filter((entry) => !needless.test(entry.path));
  const bin = (file: string) => join(native, 'bin', file);
  return {
    name: 'postgres',
    reference: 'felucca/postgres:18',
    layers: [
      [
        ...accounts,
        ...shell(busybox),
        ...librariesOf([bin('postgres'), bin('initdb')], native),
        ...server,
        { path: 'tmp', mode: 0o1777, folder: true },
        { path: 'var/lib/postgresql/data', mode: 0o1777, folder: true },
      ],
      [
        { path: 'usr/local/bin/entrypoint', mode: 0o755, file: join(sources, 'postgres/entrypoint.sh') },
        { path: 'usr/local/bin/pg_isready', mode: 0o755, file: join(sources, 'postgres/pg_isready.sh') },
      ],
    ],
    config: {
      User: '70:70',
      WorkingDir: '/var/lib/postgresql',
      Env: [
        'PATH=/usr/local/pgsql/bin:/usr/local/bin:/bin',
        'PGDATA=/var/lib/postgresql/data/pgdata',
        'LC_ALL=C',
      ],
      Entrypoint: ['/usr/local/bin/entrypoint'],
      ExposedPorts: { '5432/tcp': {} },
      // Fast shutdown: SIGTERM would wait until the last client leaves.
      StopSignal: 'SIGINT',
    },
  };
}

/** A page in two megabytes, to order in tests. */
async function webImage(): Promise<ImageDefinition> {
  const { busybox } = await resolveNodeTools();
  return {
    name: 'web',
    reference: 'felucca/web:dev',
    layers: [
      [...accounts, ...shell(busybox), { path: 'tmp', mode: 0o1777, folder: true }],
      [
        { path: 'usr/local/bin/web', mode: 0o755, file: join(sources, 'web/web.sh') },
        { path: 'www/cgi-bin/index.cgi', mode: 0o755, file: join(sources, 'web/page.sh') },
        { path: 'www/healthz', mode: 0o644, content: 'ok\n' },
        { path: 'www-unhealthy/cgi-bin/index.cgi', mode: 0o755, file: join(sources, 'web/page.sh') },
      ],
    ],
    config: {
      User: '65532:65532',
      Env: ['PATH=/usr/local/bin:/bin'],
      Entrypoint: ['/usr/local/bin/web'],
      ExposedPorts: { '8080/tcp': {} },
    },
  };
}

const accounts: readonly TarEntry[] = ['passwd', 'group', 'nsswitch.conf'].map((file) => ({
  path: `etc/${file}`,
  mode: 0o644,
  content: readFileSync(join(sources, 'rootfs/etc', file)),
}));

const shell = (busybox: string): TarEntry[] => [
  { path: 'bin/busybox', mode: 0o755, file: busybox },
  ...applets.map((applet) => ({ path: `bin/${applet}`, link: 'busybox' })),
];

/** A folder with everything in it; of a file's mode only "may be run" is kept, so that a umask changes nothing. */
function tree(folder: string, target: string): TarEntry[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .map((item): TarEntry | undefined => {
      const file = join(item.parentPath, item.name);
      const path = join(target, file.slice(folder.length));
      if (item.isSymbolicLink()) return { path, link: readlinkSync(file) };
      if (!item.isFile()) return undefined;
      return { path, mode: statSync(file).mode & 0o100 ? 0o755 : 0o644, file };
    })
    .filter((entry) => entry !== undefined)
    .sort((a, b) => (a.path < b.path ? -1 : 1));
}
