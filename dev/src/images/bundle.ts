import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';

export const repository = join(import.meta.dirname, '../../..');
export type Program = 'control-api' | 'operator';

/**
 * One file with the program and everything it imports: `dist/<program>/main.mjs`. Both kinds of image build
 * (ours and the Dockerfiles) take it from there.
 */
export async function bundleProgram(program: Program): Promise<string> {
  const entry = join(repository, program, 'src/main.ts');
  if (!existsSync(entry)) throw new Error(`${entry} is missing, so there is no ${program} to bundle`);
  const outfile = join(repository, 'dist', program, 'main.mjs');
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
    absWorkingDir: repository,
  });
  return outfile;
}
