import { afterEach, expect, it, vi } from 'vitest';
import { chooseProvider } from './choose-provider.ts';

afterEach(() => {
  vi.unstubAllEnvs();
});

it('refuses kind with a remedy where Docker does not answer', async () => {
  vi.stubEnv('PATH', '/nowhere');
  await expect(chooseProvider('kind')).rejects.toThrow(/Docker does not answer.*use nodes or kwok/);
});

it('takes what always runs where there is neither Docker nor the tools for nodes', async () => {
  vi.stubEnv('PATH', '/nowhere');
  expect(await chooseProvider('auto')).toBe('kwok');
  await expect(chooseProvider('nodes')).rejects.toThrow(/cannot run here/);
});
