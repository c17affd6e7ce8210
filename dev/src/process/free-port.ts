import { createServer } from 'node:net';

/** A port that nobody listens on at this moment. @param wanted the one to try; 0: any @throws when that one is taken */
export async function freePort(host = '127.0.0.1', wanted = 0): Promise<number> {
  const server = createServer();
  await new Promise<void>((done, fail) => {
    server.once('error', fail);
    server.listen(wanted, host, done);
  });
  const address = server.address();
  await new Promise((done) => server.close(done));
  if (address === null || typeof address === 'string') throw new Error(`no free port on ${host}`);
  return address.port;
}
