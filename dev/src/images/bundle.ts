import { existsSync, globSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

export const repository = join(import.meta.dirname, '../../..');
export type Program = 'control-api' | 'operator';

/**
 * Flags of V8. The operator's garbage is short-lived and its cache is not: with a young generation of 2 MiB instead of
 * 16 it needs 50 MiB less at 10,000 Instances.
 */
export const NODE_FLAGS: Readonly<Record<Program, readonly string[]>> = {
  'control-api': [],
  operator: ['--max-semi-space-size=2'],
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
    entryPoints: [entry],
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'node',
    target: 'node26',
    // Native and optional; pg works without it.
    external: ['pg-native'],
    // Bundled CommonJS packages still ask for `require`.
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url);",
    },
    legalComments: 'none',
    sourcemap: false,
    logLevel: 'warning',
    absWorkingDir: root,
  });
  return join(folder, 'main.mjs');
}
