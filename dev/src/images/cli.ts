import { bundleProgram } from './bundle.ts';
import { buildImages, type ImageName, imageNames } from './index.ts';

const usage = `usage: node dev/src/images/cli.ts build [${imageNames.join('|')}]...   docker archives, without Docker
       node dev/src/images/cli.ts bundle                      only dist/, for the Dockerfiles in dev/images
`;

const [command, ...names] = process.argv.slice(2);
const unknown = names.filter((name) => !(imageNames as readonly string[]).includes(name));
if (command === 'build' && unknown.length === 0) {
  const wanted = names.length > 0 ? (names as ImageName[]) : imageNames;
  await buildImages(wanted, (line) => process.stdout.write(`${line}\n`));
} else if (command === 'bundle') {
  for (const program of ['control-api', 'operator'] as const)
    process.stdout.write(`${await bundleProgram(program)}\n`);
} else {
  process.stderr.write(usage);
  process.exitCode = 2;
}
