import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { signerFromFolder } from '../feed/signer.ts';
import { readOrMakeKeyFile } from './key-file.ts';
import { derivePasswords } from './role-passwords.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'felucca-keys-'));
});
afterEach(() => rm(folder, { recursive: true }));

describe('a key file', () => {
  it('is made once by whoever of many comes first, and by nobody again', async () => {
    const path = join(folder, 'deep/key');
    let made = 0;
    const all = await Promise.all(
      Array.from({ length: 50 }, () => readOrMakeKeyFile(path, () => `secret ${made++}`)),
    );
    expect(new Set(all).size).toBe(1);
    expect(await readOrMakeKeyFile(path, () => 'another')).toBe(all[0]);
    expect(await readdir(join(folder, 'deep'))).toEqual(['key']);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  it('may come from a Secret, with or without a line break at its end', async () => {
    const path = join(folder, 'role-secret');
    await writeFile(path, 'from a Secret');
    const without = await derivePasswords(folder);
    await writeFile(path, 'from a Secret\n');
    expect(await derivePasswords(folder)).toEqual(without);
  });

  it('says what is wrong when it is empty, missing in a folder that takes none, or no key', async () => {
    await writeFile(join(folder, 'empty'), '\n');
    await expect(readOrMakeKeyFile(join(folder, 'empty'), () => 'x')).rejects.toThrow(/is empty; delete it/);
    await expect(readOrMakeKeyFile('/dev/null/key', () => 'x')).rejects.toThrow(
      /\/dev\/null\/key does not exist and can't be made .*FELUCCA_KEY_DIR/,
    );
    await writeFile(join(folder, 'signing-key.pem'), 'no key');
    await expect(signerFromFolder(folder)).rejects.toThrow(/signing-key\.pem/);
  });
});
