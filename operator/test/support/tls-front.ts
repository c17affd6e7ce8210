import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createServer, type Server } from 'node:tls';
import { type CertificateAuthority, openCertificateAuthority } from '@felucca/dev';
import type { ApiTlsFiles } from '../../src/sync/api-tls.ts';

/** What terminates TLS in front of the control plane and asks for a client certificate, as an ingress controller would. */
export class TlsFront {
  /** What an operator is given. */
  readonly files: Required<ApiTlsFiles>;
  private readonly folder: string;
  private readonly host: string;
  private readonly server: Server;
  private readonly sockets = new Set<Socket>();

  private constructor(folder: string, host: string, target: URL) {
    this.folder = folder;
    this.host = host;
    this.files = { ca: join(folder, 'ca.crt'), cert: join(folder, 'tls.crt'), key: join(folder, 'tls.key') };
    this.server = createServer({ requestCert: true, rejectUnauthorized: true }, (socket) => {
      const behind = connect(Number(target.port), target.hostname);
      for (const one of [socket, behind]) {
        this.sockets.add(one);
        one.on('error', () => {}).once('close', () => this.sockets.delete(one));
      }
      socket.pipe(behind).pipe(socket);
      socket.once('close', () => behind.destroy());
      behind.once('close', () => socket.destroy());
    });
    this.server.on('tlsClientError', () => {});
  }

  /** @param host the name that its certificate is for */
  static async start(host: string, target: string): Promise<TlsFront> {
    const front = new TlsFront(mkdtempSync(join(tmpdir(), 'felucca-front-')), host, new URL(target));
    await new Promise<void>((resolve) => front.server.listen(0, '127.0.0.1', resolve));
    const authority = await front.authority('first');
    front.trust(authority);
    await front.serve(authority);
    await front.giveClient(authority);
    return front;
  }

  get url(): string {
    return `https://${this.host}:${(this.server.address() as AddressInfo).port}`;
  }

  authority(name: string): Promise<CertificateAuthority> {
    return openCertificateAuthority(join(this.folder, name));
  }
  /** From now on new connections get a certificate of this authority, and need one of it. */
  async serve(authority: CertificateAuthority, notAfter?: Date): Promise<void> {
    const { certPem, keyPem } = await authority.issue({
      ...{ name: 'server', commonName: this.host, hosts: [this.host] },
      ...(notAfter ? { notAfter } : {}),
    });
    this.server.setSecureContext({ cert: certPem, key: keyPem, ca: authority.certPem });
  }
  trust(authority: CertificateAuthority): void {
    this.put(this.files.ca, authority.certPem);
  }
  async giveClient(authority: CertificateAuthority): Promise<void> {
    const { certPem, keyPem } = await authority.issue({ name: 'client', commonName: 'data-plane' });
    this.put(this.files.cert, certPem);
    this.put(this.files.key, keyPem);
  }
  /** As a mounted Secret changes: never half. */
  private put(path: string, text: string): void {
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
  }

  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.server.close(resolve));
    rmSync(this.folder, { recursive: true, force: true });
  }
}
