import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, globSync, rmSync, symlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type BuildOptions, build, type Plugin } from 'esbuild';

export const repository = join(import.meta.dirname, '../../..');
export type Program = 'control-api' | 'operator';

/**
 * Flags of V8. Measured of the operator with 10,000 Instances: a young generation of 8 MiB needs 40 MiB less than the default
 * of 16, and with 2 what lives for one reconcile is taken for cache: 70 MiB more and a third more CPU. Of the API, with 10,000
 * idle streams, it is 80 MiB less: a third of the heap was what the crowd had left behind.
 */
export const NODE_FLAGS: Readonly<Record<Program, readonly string[]>> = {
  'control-api': ['--max-semi-space-size=8'],
  operator: ['--max-semi-space-size=8'],
};

/** Beside the API: what `felucca admin` is, for whoever runs the database. */
const ADMIN: Partial<Record<Program, Record<string, string>>> = {
  'control-api': { admin: 'control-api/src/admin/main.ts' },
};

export interface BundleOptions {
  /** Default: `dist/<program>`, where both kinds of image build (ours and the Dockerfiles) take it from. */
  readonly folder?: string;
  /** Another checkout of this repository, such as an older version. */
  readonly root?: string;
}

/**
 * `main.mjs`, with the program and everything it imports. What it imports only where needed lies beside it: the
 * Kubernetes client would be nine tenths of what an operator in a cluster loads and never uses.
 */
export async function bundleProgram(program: Program, options: BundleOptions = {}): Promise<string> {
  const { folder = join(repository, 'dist', program), root = repository } = options;
  const entry = join(root, program, 'src/main.ts');
  if (!existsSync(entry)) throw new Error(`${entry} is missing, so there is no ${program} to bundle`);
  for (const file of globSync(join(folder, '*.mjs'))) rmSync(file);
  await build({
    ...COMMON,
    entryPoints: { main: entry, ...ADMIN[program] },
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    splitting: true,
    target: 'node26',
    absWorkingDir: root,
    plugins: [withoutUnusedClients],
  });
  return join(folder, 'main.mjs');
}

/**
 * What the operator's base class imports and our subclass leaves without a caller (operator/src/operator.ts): its
 * constructor makes a client that nobody asks. Loading the real ones at each start costs 0.2 s and 50 MiB.
 */
const UNUSED: Readonly<Record<string, string>> = {
  '@kubernetes/client-node': `
    export class KubeConfig { loadFromDefault() {} makeApiClient() {} }
    export class CoreV1Api {}`,
  gaxios: 'export const instance = undefined;',
};
const withoutUnusedClients: Plugin = {
  name: 'without-unused-clients',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(@kubernetes\/client-node|gaxios)$/ }, ({ path, importer }) =>
      importer.includes('/@dot-i/k8s-operator/') ? { path, namespace: 'unused' } : undefined,
    );
    onLoad({ filter: /.*/, namespace: 'unused' }, ({ path }) => ({ contents: UNUSED[path]! }));
  },
};

/** Under its own name and those under which kubectl finds it: as a plugin, and to complete the plugin's words. */
const CLI_NAMES = ['kubectl-felucca', 'kubectl_complete-felucca'];

/** The CLI, one file to be copied somewhere into PATH: `dist/cli/felucca`. It runs on Node 22 or newer. */
export async function bundleCli(): Promise<string> {
  const outfile = join(repository, 'dist/cli/felucca');
  await build({
    ...COMMON,
    entryPoints: [join(repository, 'cli/src/main.ts')],
    outfile,
    target: 'node22',
    absWorkingDir: repository,
    define: commitDefined(),
    // Every command starts with reading all of it.
    minifyWhitespace: true,
    minifySyntax: true,
  });
  chmodSync(outfile, 0o755);
  for (const name of CLI_NAMES) {
    const link = join(dirname(outfile), name);
    rmSync(link, { force: true });
    symlinkSync(basename(outfile), link);
  }
  return outfile;
}

/** What `felucca --version` tells (cli/src/version.ts); nothing where the sources are no clone. */
function commitDefined(): Record<string, string> {
  const { status, stdout } = spawnSync('git', ['rev-parse', '--short=12', 'HEAD'], {
    cwd: repository,
    encoding: 'utf8',
  });
  return status === 0 ? { FELUCCA_COMMIT: JSON.stringify(stdout.trim()) } : {};
}

const COMMON: BuildOptions = {
  bundle: true,
  format: 'esm',
  platform: 'node',
  // Native and optional; pg works without it.
  external: ['pg-native'],
  // Bundled CommonJS packages still ask for `require`.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
  },
  legalComments: 'none',
  sourcemap: false,
  logLevel: 'warning',
};
