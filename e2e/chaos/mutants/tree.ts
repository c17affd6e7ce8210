import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Mutant } from './mutant.ts';

const repository = join(import.meta.dirname, '../../..');
const PACKAGES = join(repository, 'node_modules');

/** A copy of the sources in which mistakes are made, so that nobody's working tree has them for a moment. */
export class SourceTree {
  readonly path: string;

  constructor() {
    this.path = mkdtempSync(join(tmpdir(), 'felucca-mutants-'));
    const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], {
      cwd: repository,
      encoding: 'utf8',
      maxBuffer: 16 << 20,
    });
    for (const file of listed.split('\0').filter(Boolean)) this.#copy(file);
    this.#linkPackages();
  }

  /** Puts the mistake in; the returned function takes it out again. @throws when the mutant is outdated. */
  mutate({ name, file, find, replace }: Mutant): () => void {
    const path = join(this.path, file);
    const source = readFileSync(path, 'utf8');
    const found = source.split(find).length - 1;
    if (found !== 1)
      throw new Error(
        `mutant "${name}" is outdated: its text occurs ${found} times in ${file}; bring it up to date`,
      );
    writeFileSync(
      path,
      source.replace(find, () => replace),
    );
    return () => writeFileSync(path, source);
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  /** A file that git still knows may be gone from the working tree. */
  #copy(file: string): void {
    const source = join(repository, file);
    if (!existsSync(source)) return;
    const target = join(this.path, file);
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(source, target);
  }

  /** Packages of others are shared; our own workspaces are the copies. */
  #linkPackages(): void {
    const modules = join(this.path, 'node_modules');
    mkdirSync(join(modules, '@felucca'), { recursive: true });
    for (const name of readdirSync(PACKAGES))
      if (name !== '@felucca') symlinkSync(join(PACKAGES, name), join(modules, name));
    for (const name of readdirSync(join(PACKAGES, '@felucca')))
      symlinkSync(join(this.path, name), join(modules, '@felucca', name));
  }
}
