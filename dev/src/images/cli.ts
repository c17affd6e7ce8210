import { bundleCli, bundleProgram } from './bundle.ts';
import { buildImages, type ImageName, imageNames } from './index.ts';

const bundles: Record<string, () => Promise<string>> = {
  'control-api': () => bundleProgram('control-api'),
  operator: () => bundleProgram('operator'),
  cli: bundleCli,
};

const usage = `usage: node dev/src/images/cli.ts build [${imageNames.join('|')}]...   docker archives, without Docker
       node dev/src/images/cli.ts bundle [${Object.keys(bundles).join('|')}]...           only dist/: for the Dockerfiles in dev/images, and the CLI
`;

const [command, ...names] = process.argv.slice(2);
const areAll = (known: readonly string[]): boolean => names.every((name) => known.includes(name));
if (command === 'build' && areAll(imageNames)) {
  const wanted = names.length > 0 ? (names as ImageName[]) : imageNames;
  await buildImages(wanted, (line) => process.stdout.write(`${line}\n`));
} else if (command === 'bundle' && areAll(Object.keys(bundles))) {
  for (const name of names.length > 0 ? names : Object.keys(bundles))
    process.stdout.write(`${await bundles[name]!()}\n`);
} else {
  process.stderr.write(usage);
  process.exitCode = 2;
}
