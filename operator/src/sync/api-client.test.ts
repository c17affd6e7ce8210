import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { openCertificateAuthority } from '@felucca/dev';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ApiClient } from './api-client.ts';

// What stands in front of the control plane asks for a certificate of its own authority.

const folder = mkdtempSync(join(tmpdir(), 'felucca-mtls-'));
const files = {
  ca: join(folder, 'trusted.crt'),
  cert: join(folder, 'tls.crt'),
  key: join(folder, 'tls.key'),
};
let authority: Awaited<ReturnType<typeof openCertificateAuthority>>;
let server: Server;
let url: string;

/** As whoever renews it puts it there. */
async function renew(commonName: string): Promise<void> {
  const { certPem, keyPem } = await authority.issue({ name: 'client', commonName });
  writeFileSync(files.cert, certPem);
  writeFileSync(files.key, keyPem);
}

beforeAll(async () => {
  authority = await openCertificateAuthority(join(folder, 'authority'));
  writeFileSync(files.ca, authority.certPem);
  const { certPem: cert, keyPem: key } = await authority.issue({
    ...{ name: 'server', commonName: 'front', hosts: ['127.0.0.1'] },
  });
  const options = { cert, key, ca: authority.certPem, requestCert: true, rejectUnauthorized: true };
  server = createServer(options, (request, response) => {
    const { subject } = (request.socket as TLSSocket).getPeerCertificate();
    request.resume().on('end', () => response.end(JSON.stringify({ who: subject.CN })));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server?.closeAllConnections();
  server?.close();
  rmSync(folder, { recursive: true, force: true });
});

describe('the client of the control API', () => {
  it('shows its certificate, and the next one as soon as it is renewed', async () => {
    const api = new ApiClient(url, files);
    const who = async () => (await api.postJson('/v1/x', '{}', 5_000)).body;
    await renew('data-plane-1');
    expect(await who()).toEqual({ who: 'data-plane-1' });
    expect(await who()).toEqual({ who: 'data-plane-1' });
    await renew('data-plane-1-renewed');
    expect(await who()).toEqual({ who: 'data-plane-1-renewed' });
    api.close();
  });

  it('says what it could not read, and what it was refused for', async () => {
    const { ca } = files;
    const attempt = async (tls: ConstructorParameters<typeof ApiClient>[1]) => {
      const api = new ApiClient(url, tls);
      const said = await api.postJson('/v1/x', '{}', 5_000).then(String, (error: Error) => error.message);
      api.close();
      return said;
    };
    expect(await attempt({ ca })).toMatch(
      /^127\.0\.0\.1:\d+: .*(certificate required|socket hang up|ECONNRESET)/,
    );
    expect(await attempt({ cert: files.cert, key: files.key })).toMatch(/certificate/);
    const missing = join(folder, 'none.crt');
    expect(await attempt({ ca: missing })).toMatch(new RegExp(`: ${missing} cannot be read: ENOENT`));
  });
});
