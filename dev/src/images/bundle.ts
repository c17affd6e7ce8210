import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

export const repository = join(import.meta.dirname, '../../..');
export type Program = 'control-api' | 'operator';

export interface BundleOptions {
  /** Default: `dist/<program>`, where both kinds of image build (ours and the Dockerfiles) take it from. */
  readonly folder?: string;
  /** Another checkout of this repository, such as an older version. */
  readonly root?: string;
}

/** One file, `main.mjs`, with the program and everything it imports. */
export async function bundleProgram(program: Program, options: BundleOptions = {}): Promise<string> {
  const { folder = join(repository, 'dist', program), root = repository } = options;
  const entry = join(root, program, 'src/main.ts');
  if (!existsSync(entry)) throw new Error(`${entry} is missing, so there is no ${program} to bundle`);
  const outfile = join(folder, 'main.mjs');
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
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
  return outfile;
}
