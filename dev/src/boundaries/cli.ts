import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { law, violationsOf } from './boundaries.ts';

const repository = join(import.meta.dirname, '../../..');
let checked = 0;
const violations = Object.keys(law).flatMap((workspace) =>
  readdirSync(join(repository, workspace), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.includes('node_modules/'))
    // Its test is full of forbidden examples.
    .filter((path) => path !== 'src/boundaries/boundaries.test.ts')
    .flatMap((path) => {
      checked++;
      const file = `${workspace}/${path}`;
      return violationsOf(file, readFileSync(join(repository, file), 'utf8'));
    }),
);
for (const violation of violations) process.stderr.write(`${violation}\n`);
process.stdout.write(`boundaries: ${checked} files, ${violations.length} violations\n`);
if (violations.length > 0) process.exitCode = 1;
