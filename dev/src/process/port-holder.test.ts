import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { portHolder } from './port-holder.ts';

test.skipIf(process.platform !== 'linux')('who listens on a port is named with pid and command', async () => {
  const server = createServer();
  const port = await new Promise<number>((resolve) =>
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port)),
  );
  expect(portHolder(port)).toMatch(new RegExp(`^pid ${process.pid} \\(.+\\)$`));
  await new Promise((resolve) => server.close(resolve));
  expect(portHolder(port)).toBeUndefined();
});
