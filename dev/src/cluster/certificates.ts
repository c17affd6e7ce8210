import 'reflect-metadata';
import { createPrivateKey, generateKeyPairSync, webcrypto } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const dayMs = 86_400_000;

export interface KeyPairFiles {
  readonly certPath: string;
  readonly keyPath: string;
  readonly certPem: string;
  readonly keyPem: string;
}

export interface LeafRequest {
  /** File name without extension. */
  readonly name: string;
  readonly commonName: string;
  readonly organization?: string;
  /** DNS names and IP addresses; none for a client certificate. */
  readonly hosts?: readonly string[];
  /** A year from now unless another end is given. */
  readonly notAfter?: Date;
}

export interface CertificateAuthority {
  readonly certPath: string;
  readonly certPem: string;
  issue(request: LeafRequest): Promise<KeyPairFiles>;
}

/** Loads the cluster's CA from `directory`, or makes one. Keys are readable by the owner only. */
export async function openCertificateAuthority(directory: string): Promise<CertificateAuthority> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const certPath = join(directory, 'ca.crt');
  const keyPath = join(directory, 'ca.key');
  if (!existsSync(certPath) || !existsSync(keyPath)) await createRoot(certPath, keyPath);
  const certPem = readFileSync(certPath, 'utf8');
  const certificate = new x509.X509Certificate(certPem);
  const signingKey = await importPrivateKey(readFileSync(keyPath, 'utf8'));

  return {
    certPath,
    certPem,
    async issue(request) {
      const keys = await generateKeys();
      const hosts = request.hosts ?? [];
      const leaf = await x509.X509CertificateGenerator.create({
        subject: distinguishedName(request),
        issuer: certificate.subjectName,
        notBefore: new Date(Date.now() - dayMs),
        notAfter: request.notAfter ?? new Date(Date.now() + 365 * dayMs),
        publicKey: keys.publicKey,
        signingKey,
        signingAlgorithm: algorithm,
        extensions: [
          new x509.BasicConstraintsExtension(false, undefined, true),
          new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
          new x509.ExtendedKeyUsageExtension([
            hosts.length > 0 ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth,
          ]),
          ...(hosts.length > 0 ? [new x509.SubjectAlternativeNameExtension(hosts.map(toGeneralName))] : []),
        ],
      });
      const files = {
        certPath: join(directory, `${request.name}.crt`),
        keyPath: join(directory, `${request.name}.key`),
      };
      const certPem = leaf.toString('pem');
      const keyPem = await exportPrivateKey(keys.privateKey);
      writeFileSync(files.certPath, certPem);
      writeFileSync(files.keyPath, keyPem, { mode: 0o600 });
      return { ...files, certPem, keyPem };
    },
  };
}

/** The key pair that signs ServiceAccount tokens, kept across starts so that old tokens stay valid. */
export function serviceAccountKeys(directory: string): { privatePath: string; publicPath: string } {
  const privatePath = join(directory, 'service-account.key');
  const publicPath = join(directory, 'service-account.pub');
  if (!existsSync(privatePath)) {
    const pair = generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
    writeFileSync(publicPath, pair.publicKey);
    writeFileSync(privatePath, pair.privateKey, { mode: 0o600 });
  }
  return { privatePath, publicPath };
}

async function createRoot(certPath: string, keyPath: string): Promise<void> {
  const keys = await generateKeys();
  const root = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=felucca-local',
    notBefore: new Date(Date.now() - dayMs),
    notAfter: new Date(Date.now() + 3650 * dayMs),
    keys,
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.digitalSignature, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  writeFileSync(keyPath, await exportPrivateKey(keys.privateKey), { mode: 0o600 });
  writeFileSync(certPath, root.toString('pem'));
}

function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
}

async function exportPrivateKey(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({
    type: 'pkcs8',
    format: 'pem',
  }) as string;
}

function importPrivateKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' });
  return webcrypto.subtle.importKey('pkcs8', der, algorithm, true, ['sign']);
}

function distinguishedName(request: LeafRequest): x509.JsonName {
  return [
    ...(request.organization === undefined ? [] : [{ O: [request.organization] }]),
    { CN: [request.commonName] },
  ];
}

function toGeneralName(host: string): x509.JsonGeneralName {
  return { type: isIP(host) === 0 ? 'dns' : 'ip', value: host };
}
